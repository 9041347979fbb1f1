"""The process runtime: replicas as process groups of this machine, which outlive the server."""

from .runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
