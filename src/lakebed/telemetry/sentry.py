"""Sends errors to Sentry: what is logged as an error, with the exception. Needs `telemetry`.

log.error, log.exception ──> Reporter ──scrub──> the SDK's thread ──> the project

What is sent is chosen, not filtered: the log's text, which is constant, numbers, the few texts that
name parts of the process, and where the exception was raised. Payloads, topics, owners, values of
variables and requests stay here. Texts of exceptions may quote payloads, so what is quoted in them
is left out, as is whatever looks like a secret.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias, cast

from sentry_sdk import Client
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from lakebed import __version__

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

MOST = 60
"""Events a minute; an error in a loop is the same error."""

LONGEST = 500
"""Characters of a text that are sent."""

_NAMES = {
    "action", "consumer", "door", "error", "kind", "listener", "part", "partition", "reason",
    "role", "source", "store", "table", "target", "task", "thread",
}  # fmt: skip
"""Fields of a line of the log whose texts are sent; of others numbers alone."""

_HIDDEN = "[hidden]"
_QUOTED = re.compile(r"b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|`[^`]*`", re.DOTALL)
_SECRETS = (
    re.compile(r"\blb_\w+"),
    re.compile(r"\b(?:Bearer|Basic)\s+\S+", re.IGNORECASE),
    re.compile(r"(?<=://)[^\s/@]+@"),
    re.compile(r"\b(?:password|passwd|secret|token|key|authorization|cookie)\s*[=:]\s*\S+", re.I),
    re.compile(r"\[parameters: .*", re.DOTALL),  # of a statement, as SQLAlchemy says them
    re.compile(r"\b[0-9a-fA-F]{32,}\b"),
)


def scrubbed(text: str) -> str:
    """The text without what is quoted in it, and without what looks like a secret."""
    text = _QUOTED.sub(_HIDDEN, text)
    for pattern in _SECRETS:
        text = pattern.sub(_HIDDEN, text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


class Reporter:
    """Any thread; never waits, never raises.

    Args:
        dsn: of the project.
        roles: of this process.
    """

    def __init__(
        self,
        dsn: str,
        roles: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roles, self._clock = ",".join(roles), clock
        self._lock = threading.Lock()
        self._minute, self._sent = 0, 0
        self._client = Client(
            dsn=dsn,
            release=f"lakebed@{__version__}",
            default_integrations=False,  # they would read requests, variables and the command line
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
            auto_session_tracking=False,
            max_breadcrumbs=0,
            shutdown_timeout=2,
        )

    def report(self, level: str, text: str, fields: Mapping[str, Any], error: ExcInfo) -> None:
        """Send one line of the log, unless there were too many this minute."""
        if self._is_too_much():
            return
        event: dict[str, Any] = {}
        hint: Hint = {}
        if error[1] is not None:
            found, hint = event_from_exception(error, self._client.options)
            event = dict(found)
            for one in event["exception"]["values"]:
                one["value"] = scrubbed(str(one.get("value") or ""))
                one.pop("mechanism", None)
        event |= {
            "level": "fatal" if level == "critical" else "error",
            "logger": "lakebed",
            "message": scrubbed(text),
            "tags": {"roles": self._roles},
            "contexts": {"log": dict(_chosen(fields))},
        }
        self._client.capture_event(cast(Event, event), hint)

    def close(self) -> None:
        """Send what waits; for two seconds at most."""
        self._client.close(timeout=2)

    def _is_too_much(self) -> bool:
        with self._lock:
            minute = int(self._clock() // 60)
            if minute != self._minute:
                self._minute, self._sent = minute, 0
            self._sent += 1
            return self._sent > MOST


def _chosen(fields: Mapping[str, Any]) -> "list[tuple[str, Any]]":
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, bool | int | float):
            found.append((name, value))
        elif isinstance(value, str) and name in _NAMES:
            found.append((name, scrubbed(value)))
    return found
