"""The server's own log: readable on a console, or JSON lines."""

from __future__ import annotations

import logging
import sys

import structlog

from workload_api.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send our log lines, and those of libraries, to standard error in the form that the settings name."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor
    if settings.log_format == "json":
        renderer = structlog.processors.JSONRenderer()
        # Without the values of variables: they hold tokens and what users sent.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last: list[structlog.types.Processor] = [structlog.processors.ExceptionRenderer(tracebacks), renderer]
    else:
        # Plain tracebacks: the fancy ones show the values of variables, which hold tokens, and take many seconds.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        last = [renderer]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.INFO), force=True)
    # APScheduler tells of every tick and warns of each that finds the one before it under way, uvicorn tells of its own
    # start, Alembic of every look at the schema: not news.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
