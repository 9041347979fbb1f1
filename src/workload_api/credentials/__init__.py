"""Credentials: secrets of users, encrypted at rest, filled into the environment of what they run (§11)."""
