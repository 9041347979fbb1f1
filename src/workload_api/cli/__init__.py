"""The command line: ``workload-api serve|migrate|user|token|credential|demo``."""

from workload_api.cli.main import app, main

__all__ = ["app", "main"]
