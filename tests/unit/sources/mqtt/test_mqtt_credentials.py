"""By what a client may show who it is, and when that ends."""

import ssl

import pytest
from tests.certificates import of_client

from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.wire import V5

RECHECK = "lakebed.sources.mqtt.server.connection.RECHECK"


async def shown(bench, username=None, password=None, client_id="c", tls=None):
    """A client that shows these, and the reason of its CONNACK."""
    wire = await bench.dial(tls=tls)
    wire.send(Connect(client_id, V5, username=username, password=password))
    return wire, (await wire.next()).reason


@pytest.mark.parametrize(
    ("username", "password", "reason"),
    [
        ("whoever", b"lamp", 0),  # a token as password
        ("lamp", None, 0),  # a token as user name, as Pepeunit's devices have it
        ("lamp", b"", 0),
        ("lamp", b"wrong", Reason.BAD_USER_NAME_OR_PASSWORD),  # a password counts alone
        ("lamp", b"\xff", Reason.BAD_USER_NAME_OR_PASSWORD),
        ("whoever", None, Reason.BAD_USER_NAME_OR_PASSWORD),
        (None, None, Reason.BAD_USER_NAME_OR_PASSWORD),
    ],
)
def test_a_token_is_the_password_or_a_user_name_without_one(
    run, serving, username, password, reason
):
    async def story():
        async with serving() as bench:
            _, answer = await shown(bench, username, password)
            assert answer == reason

    run(story())


@pytest.fixture
def secured(certificate):
    """Settings of an endpoint that takes client certificates, and a maker of clients with one."""
    pem, key = certificate
    mqtt = {
        "tls_listen": "127.0.0.1:0", "tls_certificate": pem, "tls_key": key, "tls_client_ca": pem
    }  # fmt: skip

    def client(name=None, days=2):
        context = ssl.create_default_context(cafile=pem)
        if name is not None:
            context.load_cert_chain(of_client(pem.parent, certificate, name, days))
        return context

    return mqtt, client


@pytest.mark.parametrize(
    ("name", "username", "reason"),
    [
        ("u-1", None, 0),
        ("ada/lamp", "some name", 0),
        ("u-9", None, Reason.BAD_USER_NAME_OR_PASSWORD),  # no unit
        ("u-9", "lamp", 0),  # the user name is a token
        (None, "lamp", 0),  # certificates are not needed
        (None, None, Reason.BAD_USER_NAME_OR_PASSWORD),
    ],
)
def test_a_certificate_names_a_unit(run, serving, secured, name, username, reason):
    mqtt, client = secured

    async def story():
        async with serving(mqtt=mqtt) as bench:
            _, answer = await shown(bench, username, tls=client(name))
            assert answer == reason

    run(story())


def test_a_certificate_that_has_expired_opens_nothing(run, serving, secured):
    mqtt, client = secured

    async def story():
        async with serving(mqtt=mqtt) as bench:
            with pytest.raises((ssl.SSLError, ConnectionError, AttributeError)):
                await shown(bench, tls=client("u-1", days=-1))

    run(story())


def test_a_connection_ends_with_its_certificate(run, serving, secured, monkeypatch):
    mqtt, client = secured
    monkeypatch.setattr(RECHECK, 0.0)

    async def story():
        async with serving(mqtt=mqtt) as bench:
            wire, answer = await shown(bench, tls=client("u-1", days=4 / 86400))
            assert answer == 0
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED

    run(story())


def test_a_blocked_unit_is_put_out_and_not_let_in(run, serving, monkeypatch):
    monkeypatch.setattr(RECHECK, 0.0)

    async def story():
        async with serving() as bench:
            wire, answer = await shown(bench, "lamp")
            assert answer == 0
            bench.tokens.suspended.add("lamp")
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert (await shown(bench, "lamp"))[1] == Reason.NOT_AUTHORIZED

    run(story())


def test_a_unit_takes_over_no_session_but_its_own(run, serving):
    async def story():
        async with serving() as bench:
            lamp, _ = await shown(bench, "lamp", client_id="same")
            desk, _ = await shown(bench, "desk", client_id="same")
            assert await lamp.silent()
            await shown(bench, "lamp", client_id="same")
            assert (await lamp.next()).reason == Reason.SESSION_TAKEN_OVER
            assert await desk.silent()

    run(story())
