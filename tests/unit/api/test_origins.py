"""The address of a client, behind proxies and without."""

from types import SimpleNamespace

import pytest
from fastapi import Request

from lakebed.access.settings import AuthSection
from lakebed.api.origins import address_of


def request(peer: str, forwarded: list[str], proxies: tuple[str, ...]) -> Request:
    auth = AuthSection(proxies=proxies)
    services = SimpleNamespace(settings=SimpleNamespace(auth=auth))
    return Request(
        {
            "type": "http",
            "client": (peer, 1),
            "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded],
            "app": SimpleNamespace(state=SimpleNamespace(services=services)),
        }
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("192.0.2.7", [], (), "192.0.2.7"),
        ("192.0.2.7", ["10.9.9.9"], (), "192.0.2.7"),  # nobody is believed
        ("192.0.2.7", ["10.9.9.9"], ("127.0.0.1",), "192.0.2.7"),  # not from our proxy
        ("127.0.0.1", ["192.0.2.7"], ("127.0.0.1",), "192.0.2.7"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.7"], ("127.0.0.1",), "192.0.2.7"),  # what it claims itself
        ("127.0.0.1", ["6.6.6.6", "192.0.2.7"], ("127.0.0.1",), "192.0.2.7"),
        ("127.0.0.1", ["192.0.2.7, 10.0.0.3"], ("127.0.0.0/8", "10.0.0.0/8"), "192.0.2.7"),
        ("::1", ["2001:db8::7"], ("::1",), "2001:db8::7"),
        ("127.0.0.1", [], ("127.0.0.1",), "127.0.0.1"),
        ("127.0.0.1", ["no address"], ("127.0.0.1",), "no address"),
    ],
)
def test_only_proxies_that_are_named_say_whose_address_it_is(
    peer: str, forwarded: list[str], proxies: tuple[str, ...], address: str
) -> None:
    assert address_of(request(peer, forwarded, proxies)) == address
