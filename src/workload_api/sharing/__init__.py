"""Who holds which role on a workload, an artifact or a repository."""
