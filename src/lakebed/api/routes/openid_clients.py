"""Routes of the programs in which people sign in with their account here; for admins."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Response

from lakebed.access.actions import Action
from lakebed.api.callers import OnInstance
from lakebed.api.openid.settings import is_loopback
from lakebed.api.preconditions import ANYTHING, Expected, ExpectedDep, show
from lakebed.api.requests import Body, ServicesDep, document_in
from lakebed.ports.accounts.openid import OpenIdClient
from lakebed.vocabulary.credentials import new_secret
from lakebed.vocabulary.errors import Invalid, NotFound, Problem
from lakebed.vocabulary.times import to_rfc3339

router = APIRouter(prefix="/api/v1/oidc/clients", tags=["administration"])

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
_MOST = 20  # addresses of one client
_LONGEST = 2000  # characters of one
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "id": "grafana",
                    "title": "Grafana",
                    "redirects": ["https://grafana.example.com/login/generic_oauth"],
                },
            }
        },
    }
}


class ClientDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A client to be registered."""

    id: str
    redirects: tuple[str, ...]
    title: str = ""


class ClientChange(msgspec.Struct, forbid_unknown_fields=True):
    """What of a client is to be changed."""

    redirects: tuple[str, ...] | None = None
    title: str | None = None


_decode = msgspec.json.Decoder(ClientDocument).decode
_decode_change = msgspec.json.Decoder(ClientChange).decode


@router.get("", dependencies=[OnInstance(Action.OPENID_CLIENTS_READ)])
def list_clients(services: ServicesDep) -> dict[str, Any]:
    """List the clients, without their secrets."""
    return {"clients": [_show(client) for client in services.accounts.openid_clients()]}


@router.post(
    "",
    status_code=201,
    openapi_extra=_BODY,
    dependencies=[OnInstance(Action.OPENID_CLIENTS_WRITE)],
)
def register_client(
    services: ServicesDep, body: Body, expected: ExpectedDep = ANYTHING
) -> dict[str, Any]:
    """Register a client. Only this answer shows its secret."""
    wanted: ClientDocument = document_in(body, _decode)
    problems = list(_problems(wanted.redirects, wanted.title))
    if not _ID.fullmatch(wanted.id):
        problems.append(
            Problem("id", "it is 1 to 39 lower-case letters, digits and hyphens, no hyphen first")
        )
    if problems:
        raise Invalid(*problems)
    secret = new_secret()
    client = OpenIdClient(wanted.id, wanted.title, wanted.redirects)
    with expected.creating():
        made = services.accounts.add_openid_client(client, secret)
    return {"client_secret": secret, **_show(made)}


@router.get("/{id}", dependencies=[OnInstance(Action.OPENID_CLIENTS_READ)])
def read_client(services: ServicesDep, id: str, response: Response) -> dict[str, Any]:
    """Show one client."""
    found = services.accounts.openid_client(id)
    if found is None:
        raise NotFound(f"there is no client {id!r}")
    return show(_show(found), response)


@router.patch("/{id}", openapi_extra=_BODY, dependencies=[OnInstance(Action.OPENID_CLIENTS_WRITE)])
def change_client(
    services: ServicesDep,
    id: str,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Change a client's title or addresses. Its codes and access tokens become invalid."""
    wanted: ClientChange = document_in(body, _decode_change)
    if problems := list(_problems(wanted.redirects, wanted.title or "")):
        raise Invalid(*problems)
    changed = services.accounts.change_openid_client(
        id, title=wanted.title, redirects=wanted.redirects, check=_unmoved(expected)
    )
    return show(_show(changed), response)


@router.delete("/{id}", status_code=204, dependencies=[OnInstance(Action.OPENID_CLIENTS_WRITE)])
def remove_client(services: ServicesDep, id: str, expected: ExpectedDep = ANYTHING) -> None:
    """Delete a client: users cannot sign in there with their accounts any more."""
    services.accounts.delete_openid_client(id, _unmoved(expected))


def _unmoved(expected: Expected) -> Callable[[OpenIdClient], None]:
    """Checks what the caller has seen of a client that is about to change."""
    return lambda client: expected.check_document(lambda: _show(client))


@router.post("/{id}/secret", dependencies=[OnInstance(Action.OPENID_CLIENTS_WRITE)])
def replace_secret(services: ServicesDep, id: str) -> dict[str, Any]:
    """Replace the secret of a client. Only this answer shows the new one."""
    secret = new_secret()
    changed = services.accounts.change_openid_client(id, secret=secret)
    return {"client_secret": secret, **_show(changed)}


def _problems(redirects: Sequence[str] | None, title: str) -> Iterator[Problem]:
    if len(title) > 200:
        yield Problem("title", "it has 200 characters at most")
    if redirects is None:
        return
    if not 0 < len(redirects) <= _MOST:
        yield Problem("redirects", f"write 1 to {_MOST} addresses")
    for number, redirect in enumerate(redirects):
        if (what := _fault(redirect)) is not None:
            yield Problem(f"redirects[{number}]", what)


def _fault(redirect: str) -> str | None:
    try:
        parts = urlsplit(redirect)
        host = parts.hostname
    except ValueError:
        return "it is no address"
    if len(redirect) > _LONGEST or not redirect.isprintable() or not redirect.isascii():
        return f"it is {_LONGEST} printable ASCII characters at most"
    if not host or parts.username is not None or "*" in redirect or parts.fragment:
        return "write the whole address, without a user, a `*` or a `#`"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        return "it must be https://; http:// is for localhost and 127.0.0.1 alone"
    return None


def _show(client: OpenIdClient) -> dict[str, Any]:
    return {
        "id": client.id,
        "title": client.title,
        "redirects": list(client.redirects),
        "created": to_rfc3339(client.created),
    }
