"""Where a request comes from: its address, and whether another site's page has sent it.

A browser sends the cookie of a session whichever page makes it ask. So a request that changes
something and has a cookie must prove that it comes from a page of this instance:

    Sec-Fetch-Site: same-origin     (Fetch Metadata Request Headers; over TLS and on localhost)
    Origin: the address of this instance     (RFC 6454; all browsers, with every POST)
"""

from ipaddress import ip_address, ip_network

from fastapi import Request
from starlette.requests import HTTPConnection

from lakebed.vocabulary.errors import Denied

_SAFE = ("GET", "HEAD", "OPTIONS")


def check(request: Request, *, needed: bool = True) -> None:
    """Raise unless a request comes from a page of this instance, or changes nothing.

    Args:
        needed: whether a request without either header is refused, too. Programs that are no
            browsers send none.

    Raises:
        Denied: it comes from another site, or does not say.
    """
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None and not needed:
        return
    # one that claims both must be right about both
    if site not in (None, "same-origin") or (origin is not None and not _is_ours(request, origin)):
        raise Denied("a page of another site has sent this with your session")
    if site is None and origin is None:
        raise Denied(
            "with a session's cookie send Origin or Sec-Fetch-Site, as browsers do; programs send"
            " a token: Authorization: Bearer TOKEN"
        )


def address_of(request: Request) -> str:
    """The address of the client; behind proxies that are believed, what they say it is."""
    return client_of(request, request.app.state.services.settings.auth.proxies)


def client_of(request: HTTPConnection, proxies: tuple[str, ...]) -> str:
    """As `address_of`, of a request of whatever application."""
    address = "" if request.client is None else request.client.host
    if not proxies:
        return address
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
        if not _is_within(address, proxies):
            break
        address = hop
    return address[:64]


def own(request: Request) -> str:
    """The address of this instance, as people type it."""
    url = request.app.state.services.settings.auth.url
    return url or f"{request.url.scheme}://{request.url.netloc}"


def _is_ours(request: Request, origin: str) -> bool:
    return origin in (own(request), f"{request.url.scheme}://{request.url.netloc}")


def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network, strict=False) for network in networks)
