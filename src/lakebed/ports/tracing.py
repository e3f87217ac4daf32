"""Traces: spans of what is done, for a collector. Where there is no tracer nothing is traced.

    HTTP request ──> receive ──> append ──> absorb ──> write      of some messages, a share of all
         ^              └── its context goes with the first message through the journal
         └── traceparent of the caller

A context is a `traceparent` of W3C Trace Context, level 1, so it can stand in headers and in the
attributes of messages. What belongs to several traces has one as parent, and links to the others.
"""

import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Final, Protocol

from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.times import Micros

TRACEPARENT: Final = "traceparent"
"""The name of the header, and of the decision that is recorded with messages."""

CURRENT: ContextVar[str] = ContextVar(TRACEPARENT, default="")
"""The context of the request that is being answered; "" where it is not traced."""

MOST = 32
"""Contexts of one batch that are looked at."""

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """Something that is being done, and traced. Any thread."""

    @property
    def context(self) -> str:
        """What is done within it has this as parent."""
        ...

    def end(self, failed: str = "", **attributes: str | int) -> None:
        """It is done; once.

        Args:
            failed: the kind of error by which it ended.
        """
        ...


class Tracer(Protocol):
    """Starts spans. Any thread."""

    def start(self, name: str, parents: Sequence[str] = (), since: Micros = 0) -> Span | None:
        """Start a span; None if it is not to be traced.

        Args:
            parents: contexts: it belongs to the first, and links to the others. Without any a
                trace begins, of a share of all.
            since: when it began, if not now.
        """
        ...


def is_sampled(context: str) -> bool:
    """Whether it is a context whose trace is recorded."""
    return _FORM.fullmatch(context) is not None and int(context[-2:], 16) & 1 == 1


def contexts(attributes: Coded[Attributes] | None) -> list[str]:
    """The contexts that are recorded with messages, each once; the first `MOST`."""
    found: dict[str, None] = {}
    for value in () if attributes is None else attributes.table:
        for name, context in value.decisions:
            if name == TRACEPARENT:
                found[context] = None
                if len(found) == MOST:
                    return list(found)
    return list(found)


def with_context(value: Attributes | None, context: str) -> Attributes:
    """The attributes of a message with this context, in place of another."""
    others = without_context((value or NO_ATTRIBUTES).decisions)
    return (value or NO_ATTRIBUTES)._replace(decisions=(*others, (TRACEPARENT, context)))


def without_context(decisions: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in decisions if pair[0] != TRACEPARENT)
