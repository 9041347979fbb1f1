"""The pure core: words, rules, transitions and errors. Imports nothing of ours, does no I/O, reads no clock."""
