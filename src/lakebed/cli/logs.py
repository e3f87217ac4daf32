"""The log of a server: to stderr, for people or for machines.

structlog ─────────────────────────────────────┐
logging of libraries, warnings ──> a Formatter ─┼──> one line for machines, or text for people
uncaught errors ──────────────> hooks ───────┘
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, cast

import structlog
import typer
from structlog.typing import EventDict, Processor

from lakebed.cli.exits import exit_code, lines
from lakebed.vocabulary.errors import LakebedError

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

    from lakebed.system.settings import LogSection

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
Report: TypeAlias = Callable[[str, str, Mapping[str, Any], ExcInfo], None]
"""Takes the level of a line, its text, its fields, and the exception."""

_LEVELS = logging.getLevelNamesMapping()

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
"""Without the values of variables, among which are passwords and payloads."""

_TRACEBACKS_FOR_PEOPLE = structlog.dev.RichTracebackFormatter(show_locals=False)
"""The same for the console, whose default shows them."""


class LossyStream:
    """A stream for the log that drops text which it cannot write.

    The log is often on the disk that is full. The code that logs this must not fail.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(settings: "LogSection", report: "Report | None" = None) -> None:
    """Set up structlog, the standard library's logging, and the logging of uncaught errors.

    With `log.format=json` each line on stderr is a JSON document from then on.

    Args:
        report: told what is logged as an error.
    """
    level = _LEVELS[settings.level.upper()]
    machine = settings.format == "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if machine else "%H:%M:%S", utc=machine),
        *([_TRACEBACKS] if machine else []),
    ]
    last: Processor = (
        structlog.processors.JSONRenderer()
        if machine
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_TRACEBACKS_FOR_PEOPLE
        )
    )
    structlog.configure(
        processors=[*([] if report is None else [partial(_report, report)]), *shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(cast(TextIO, LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(max(level, logging.WARNING), shared, last)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread
    sys.unraisablehook = _log_unraisable


def _report(report: "Report", _: Any, method: str, line: EventDict) -> EventDict:
    if method in ("error", "critical", "exception"):
        fields = {name: value for name, value in line.items() if name not in ("event", "exc_info")}
        report(method, str(line.get("event")), fields, _exc_info(line.get("exc_info")))
    return line


def _exc_info(given: Any) -> ExcInfo:
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple):
        return given
    return sys.exc_info() if given else (None, None, None)


@contextmanager
def logged_errors(settings: "LogSection") -> Iterator[None]:
    """Log the error that ends a command, instead of leaving it to `main`, if the format is JSON."""
    try:
        yield
    except LakebedError as error:
        if settings.format != "json":
            raise
        for line in lines(error):
            _log().critical(line)
        raise typer.Exit(exit_code(error)) from None


def _configure_libraries(level: int, shared: list[Processor], last: Processor) -> None:
    """Set up the standard library's logging, which libraries use; only warnings are logged."""
    handler = logging.StreamHandler(cast(TextIO, LossyStream(sys.stderr)))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)


def _log() -> structlog.typing.FilteringBoundLogger:
    """A logger as configured now; a logger that was used before keeps its former configuration."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)
    return logger


def _log_uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    _log().critical("an uncaught error ended the process", exc_info=error)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread is not None else "?"
    _log().error("an uncaught error ended a thread", thread=name, exc_info=args.exc_value)


def _log_unraisable(args: "UnraisableHookArgs") -> None:
    message: dict[str, Any] = {"where": repr(args.object)}
    _log().error("an error where none can be raised", exc_info=args.exc_value, **message)
