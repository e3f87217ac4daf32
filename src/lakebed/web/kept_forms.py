"""Forms that were sent after their session had ended, kept until the sender has signed in again.

    POST ── no session ──> fields kept under a nonce ──> /sign-in ──> /kept: the form, filled
                           nonce in a cookie, user in the form's token

Only a page of this instance can have a form kept, only who it was shown to sees it again, and it is
sent by pressing a button, with the token of the new session. Fields of secrets are left out. It
stands in the memory of this process, for minutes, and is bounded.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qs

from fastapi import Request

from lakebed.api import cookies, origins
from lakebed.http import bodies
from lakebed.vocabulary.errors import LakebedError
from lakebed.web import guard

COOKIE = "lakebed-kept"
SECONDS = 600
LARGEST = 256 * 2**10  # bytes of a form
MOST = 100  # forms of a process
_FIELDS = 500
_SECRET = re.compile(r"pass|secret|code|token|csrf|key", re.IGNORECASE)
_NEVER = ("/sign-in", "/sign-out", "/account", "/password", "/invitation")


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form as it was sent.

    Attributes:
        user: who it was shown to.
        action: where it is sent, with its query.
    """

    user: str
    action: str
    fields: Mapping[str, Sequence[str]]


class KeptForms:
    """The forms of a process by nonce. Any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[float, KeptForm]] = OrderedDict()

    def add(self, form: KeptForm) -> str:
        """Keep a form; the oldest is let go of where there are many. Returns its nonce."""
        nonce = secrets.token_urlsafe(32)
        with self._lock:
            self._forget()
            self._found[nonce] = (self._clock() + SECONDS, form)
            if len(self._found) > MOST:
                self._found.popitem(last=False)
        return nonce

    def get(self, nonce: str, user: str) -> KeptForm | None:
        """The form of a nonce, for the user it was shown to."""
        with self._lock:
            self._forget()
            _, form = self._found.get(nonce, (0.0, None))
        return form if form is not None and form.user == user else None

    def _forget(self) -> None:
        while self._found and next(iter(self._found.values()))[0] < self._clock():
            self._found.popitem(last=False)


def kept_forms_of(request: Request) -> KeptForms:
    """Those of this process, which begin with the first."""
    state = request.app.state
    if not hasattr(state, "kept_forms"):
        state.kept_forms = KeptForms()
    return cast(KeptForms, state.kept_forms)


async def keep(request: Request, body: bytes | None = None) -> str | None:
    """Keep the form of a request, if it is one of ours; its nonce.

    Args:
        body: of a form of an earlier session that came with another one; None where there is no
            session, and the body is not read yet.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    by_browser = request.headers.get("sec-fetch-mode", "navigate") == "navigate"
    if kind != "application/x-www-form-urlencoded" or not by_browser:
        return None
    if request.url.path.startswith(_NEVER):
        return None
    try:
        origins.check(request)
        is_ended = body is None
        if body is None:
            body = await bodies.read(request.receive, dict(request.headers.raw), LARGEST)
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS)
        token = found.get(guard.FIELD, [""])[0]
        if is_ended and cookies.secret_in(request) is not None:
            guard.check_form(request, token)
    except (LakebedError, ValueError, bodies.ClientDisconnected):
        return None
    user = guard.user_in(token)
    fields = {name: values for name, values in found.items() if not _SECRET.search(name)}
    if not user or not fields or len(body) > LARGEST:
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return kept_forms_of(request).add(KeptForm(user, request.url.path + query, fields))
