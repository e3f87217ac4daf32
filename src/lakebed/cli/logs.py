"""The log of a server: to stderr, for people or for machines."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

import structlog

if TYPE_CHECKING:
    from lakebed.system.settings import LogSection

_LEVELS = logging.getLevelNamesMapping()


class LossyStream:
    """A stream for the log that drops text which it cannot write.

    The log often lies on the disk that is full. The code that logs this must not fail by it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(settings: "LogSection") -> None:
    """Set up structlog and the standard library's logging, once at the start."""
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
        logger_factory=lambda *_: structlog.PrintLogger(cast(TextIO, LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    # libraries use the standard library's logging; only warnings matter to an operator
    logging.basicConfig(stream=sys.stderr, level=max(level, logging.WARNING))
