"""Runtimes: what makes protons run. They do not know each other."""
