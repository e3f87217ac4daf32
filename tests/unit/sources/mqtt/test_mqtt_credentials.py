"""By what a client may show who it is, and when that ends."""

import ssl
from dataclasses import replace

import pytest
from tests.certificates import of_client

from lakebed.access.principals import Grant, SharedTopics
from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.sources.mqtt.codec.subscriptions import Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

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
            refused = [(entry.action, entry.address, entry.result) for entry in bench.audited]
            assert refused == ([("connection.open", "127.0.0.1", "denied")] if reason else [])

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


def test_a_token_that_was_replaced_keeps_its_connections_for_its_grace(run, serving):
    async def story():
        async with serving() as bench:
            wire, _ = await shown(bench, "lamp")
            ends = now() + 3_600_000_000
            bench.tokens.units["lamp"] = replace(bench.tokens.units["lamp"], expires=ends)
            (connection,) = bench.endpoint._shared.connections
            await connection._recheck()
            assert await wire.silent()
            bench.tokens.revoked.add("lamp")
            await connection._recheck()
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED

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


# --- what others share ----------------------------------------------------------------------------


def opened(bench, publish=(), read=("roof/#",)):
    """Bob opens topics to the lamp."""
    grant = Grant("bob", Role.DEVICE, publish, read)
    shared = SharedTopics({"bob": (grant,)})
    bench.tokens.units["lamp"] = replace(bench.tokens.units["lamp"], shared=shared)


async def subscribe(wire, *filters):
    wire.send(Subscribe(1, tuple(map(SubscriptionRequest, filters))))
    return (await wire.next()).reasons


def test_shared_topics_are_subscribed_and_delivered_under_their_owner(run, serving):
    async def story():
        async with serving() as bench:
            wire, _ = await shown(bench, "lamp")
            assert await subscribe(wire, "$owner/bob/roof/+") == (Reason.NOT_AUTHORIZED,)
            opened(bench)  # while it is connected
            asked = ("$owner/bob/roof/+", "$owner/bob/cellar", "$owner/bob", "$owner/+/roof/1")
            assert await subscribe(wire, *asked) == (
                0, Reason.NOT_AUTHORIZED, Reason.TOPIC_FILTER_INVALID, Reason.TOPIC_FILTER_INVALID
            )  # fmt: skip
            bench.feed.push("ada", ("roof/1", b"own"))
            bench.feed.push("bob", ("roof/1", b"1"), ("cellar", b"2"))
            assert await wire.next() == ("$owner/bob/roof/1", b"1")
            assert await wire.silent()

    run(story())


def test_a_share_that_is_closed_ends_the_subscription_and_not_the_connection(run, serving):
    async def story():
        async with serving() as bench:
            opened(bench)
            wire, _ = await shown(bench, "lamp")
            assert await subscribe(wire, "$owner/bob/roof/+", "lamp/#") == (0, 0)
            for connection in bench.endpoint._shared.connections:
                connection._recheck_at = 0.0
            opened(bench, read=())
            await bench.until(lambda: len(bench.feed.subscriptions) == 1)
            bench.feed.push("bob", ("roof/1", b"1"))
            bench.feed.push("ada", ("lamp/1", b"2"))
            assert await wire.next() == ("lamp/1", b"2")

    run(story())


def test_topics_that_are_shared_for_it_are_published_to_until_they_are_not(run, serving):
    async def story():
        async with serving() as bench:
            opened(bench, publish=("roof/#",))
            wire, _ = await shown(bench, "lamp")
            wire.publish("$owner/bob/roof/1", b"1", 1, 1)
            assert (await wire.next()).reason == 0
            wire.publish("$owner/bob/cellar", b"1", 1, 2)
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED
            assert bench.intake.owners == {"bob": 1}
            assert bench.intake.seen == [("roof/1", b"1")]
            opened(bench)
            for connection in bench.endpoint._shared.connections:
                connection._recheck_at = 0.0
            assert (await wire.next()).reason == Reason.NOT_AUTHORIZED

    run(story())


def test_the_connections_of_units_are_counted(run, serving):
    async def story():
        async with serving() as bench:
            there = bench.endpoint._shared.presence._connections
            first, _ = await shown(bench, "lamp", client_id="1")
            await shown(bench, "lamp", client_id="2")
            await shown(bench, "good", client_id="3")  # a token is no unit
            assert there == {"u-1": 2}
            await first.close()
            await bench.until(lambda: there == {"u-1": 1})
            await shown(bench, "lamp", client_id="2")  # takes over
            await bench.until(lambda: there == {"u-1": 1})

    run(story())
