"""What is to be seen of a running workload from inside (§7): its logs, what it uses, its traces."""
