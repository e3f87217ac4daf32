"""The cookie of a session (RFC 6265bis).

It is named `__Host-lakebed` where people come by TLS, so that browsers take it from this host alone
and send it over TLS alone.
"""

from fastapi import Request, Response

from lakebed.vocabulary.times import SECOND, Micros, now

_PLAIN, _SECURE = "lakebed", "__Host-lakebed"


def secret_in(request: Request) -> str | None:
    """The secret of the session, if a request has the cookie."""
    return request.cookies.get(_name(request))


def give(response: Response, request: Request, secret: str, until: Micros) -> None:
    """Set the cookie; `until` is the end of the longest session."""
    response.set_cookie(
        _name(request),
        secret,
        max_age=max(0, until - now()) // SECOND,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "no-store"


def take_back(response: Response, request: Request) -> None:
    response.delete_cookie(
        _name(request), path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )


def is_secure(request: Request) -> bool:
    """Whether people come by TLS, to this port or to a proxy in front."""
    url = request.app.state.services.settings.auth.url
    return request.url.scheme == "https" or (url is not None and url.startswith("https:"))


def _name(request: Request) -> str:
    return _SECURE if is_secure(request) else _PLAIN
