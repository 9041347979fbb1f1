"""``python -m workload_api``: the same as the command ``workload-api``."""

from workload_api.cli import main

main()
