"""The log of a server: to stderr, for people or for machines."""

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from lakebed.settings import Log

_LEVELS = logging.getLevelNamesMapping()


def configure(settings: "Log") -> None:
    """Set structlog and the standard library's logging up alike. Once, at the start."""
    level = _LEVELS[settings.level.upper()]
    machine = settings.format == "json"
    last = (
        structlog.processors.JSONRenderer()
        if machine
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso" if machine else "%H:%M:%S", utc=machine),
            *([structlog.processors.dict_tracebacks] if machine else []),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # libraries log by the standard library; of them only what may matter to an operator
    logging.basicConfig(stream=sys.stderr, level=max(level, logging.WARNING))
