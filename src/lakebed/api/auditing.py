"""Audits requests: the one place where they become entries of the audit log.

    dependency names action, actor, owner ──> handler ──> status ──> entry ──> answer

A change is written before its answer leaves. Reading is not written, being refused is.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request

from lakebed.access.actions import Action
from lakebed.access.principals import NOBODY, Principal
from lakebed.accounts.audit_trail import AuditTrail
from lakebed.api import origins
from lakebed.http.asgi import App, Message, Receive, Scope, Send
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.times import now

QUIET = frozenset(
    {
        Action.API_DESCRIBE,
        Action.MESSAGES_FOLLOW,
        Action.POLICIES_PREVIEW,
        Action.UNITS_LOG,
        Action.EMQX_AUTHN,
        Action.EMQX_AUTHZ,
    }
)
"""Actions that change nothing, beside those that are called `read`."""

_MESSAGES = 60  # entries a minute about messages that were refused
_REFUSED = (401, 403, 429)
_LONGEST = 200  # characters of a resource, and of an owner whom anybody may have made up


@dataclass(slots=True)
class Noted:
    """What is known of a request by now.

    Attributes:
        owner: whose name space it is about; "" for the instance.
        resource: what it is about, where the path does not say; never a secret.
        code: a secret in the path.
        unwritten: whether it turned out to change nothing.
    """

    action: Action | None = None
    actor: str = NOBODY.label
    owner: str = ""
    resource: str = ""
    code: str = ""
    unwritten: bool = False


def refuse_messages(
    trail: AuditTrail, proxies: tuple[str, ...], scope: Scope, principal: Principal
) -> None:
    """Audit that messages were refused as a whole, with 401 or 403.

    Devices send again and again, so these find less room than other refusals.
    """
    request = Request(scope)
    asked, topic = request.query_params.get("owner", principal.owner), ""
    with suppress(ValueError):
        asked, topic, _ = split_owner(request.query_params.get("topic", ""), asked)
    noted = Noted(Action.MESSAGES_PUBLISH, principal.label, asked if principal.owner else "")
    resource = f"{_path(noted, scope)}/{topic}".rstrip("/")
    address = origins.client_of(request, proxies)
    trail.refused(_entry(noted, resource, address, "denied"), _MESSAGES)


def note(request: Request, action: Action, principal: Principal, owner: str = "") -> Noted:
    """Note who asks for which action, before it is decided."""
    noted: Noted = request.scope.setdefault("audit", Noted())
    noted.action, noted.actor, noted.owner = action, principal.label, owner
    noted.code = request.path_params.get("code", "")
    return noted


class Audited:
    """Wraps an application."""

    def __init__(self, app: App, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        noted = scope["audit"] = Noted()

        async def audited(message: Message) -> None:
            if message["type"] == "http.response.start" and noted.action is not None:
                await self._audit(noted, message["status"], scope)
            await send(message)

        await self._app(scope, receive, audited)

    async def _audit(self, noted: Noted, status: int, scope: Scope) -> None:
        assert noted.action is not None
        result = "denied" if status in _REFUSED else "failed" if status >= 400 else "done"
        quiet = (
            noted.action in QUIET
            or noted.action.endswith(".read")
            or noted.unwritten
            or scope["path"].endswith("/check")
        )
        if quiet and result != "denied":
            return
        resource = noted.resource or _path(noted, scope)
        entry = _entry(noted, resource, origins.address_of(Request(scope)), result)
        if result == "done":
            await asyncio.to_thread(self._trail.record, entry)
        else:
            self._trail.refused(entry)


def _entry(noted: Noted, resource: str, address: str, result: str) -> AuditEntry:
    assert noted.action is not None
    return AuditEntry(
        now(),
        noted.owner[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        noted.actor,
        noted.action,
        resource[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}"),
        address,
        result,
    )


def _path(noted: Noted, scope: Scope) -> str:
    """The path below /api/v1 without the secret in it, and the name in the query string."""
    path: str = scope["path"].removeprefix("/api/v1/")
    if noted.code:
        path = path.replace(noted.code, "…")
    name = Request(scope).query_params.get("name")
    return f"{path}/{name}" if name else path
