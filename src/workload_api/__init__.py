"""An open, self-hosted implementation of the Workload API."""
