"""Tags on workloads, artifacts and repositories."""
