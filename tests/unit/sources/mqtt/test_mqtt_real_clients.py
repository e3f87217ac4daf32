"""The endpoint with the clients that people really use: paho and gmqtt, plain and over TLS."""

import asyncio
import ssl
import threading

import gmqtt
import paho.mqtt.client as paho
import pytest

from lakebed.vocabulary.errors import SettingsError

PROTOCOLS = pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])


def paho_client(protocol, client_id="unit", token="good", **rest):
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **rest
    )
    client.username_pw_set("unit", token)
    return client


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_publishes_and_every_message_is_there_once_in_order(run, serving, protocol, qos):
    async def story():
        async with serving() as bench:

            def device():
                client = paho_client(protocol)
                client.connect(bench.host, bench.port)
                client.loop_start()
                sent = [client.publish("t/a", b"%d" % i, qos) for i in range(300)]
                for one in sent:
                    one.wait_for_publish(10)
                client.disconnect()
                client.loop_stop()

            await asyncio.to_thread(device)
            await bench.until(lambda: len(bench.intake.messages) == 300)
            assert bench.intake.seen == [("t/a", b"%d" % i) for i in range(300)]
            await bench.until(lambda: bench.stats.disconnects == {"normal": 1})

    run(story())


@PROTOCOLS
@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("bad", ["too large", "forbidden"])
def test_paho_that_repeats_a_mistake_has_all_else_stored_once(run, serving, protocol, qos, bad):
    """A message that ends the connection is sent again with each one, and all unacknowledged."""

    async def story():
        ends = {"on_refused": "disconnect"}
        async with serving(limits={"payload": 1000}, mqtt=ends) as bench:
            # without a session of 3.1.1 paho begins QoS 2 anew, whatever it was told
            kept = {"clean_session": False} if protocol == paho.MQTTv311 else {}
            client = paho_client(protocol, token="narrow", **kept)
            client.reconnect_delay_set(0.1, 0.1)
            client.connect(bench.host, bench.port)
            good = [client.publish("own/a", b"%d" % i, qos) for i in range(5)]
            if bad == "too large":  # in MQTT 5 only a packet beyond the limit ends it
                client.publish("own/a", bytes(1001 if protocol == paho.MQTTv311 else 2**18), qos)
            else:
                client.publish("foreign", b"x", qos if protocol == paho.MQTTv311 else 0)
            client.loop_start()
            await bench.until(lambda: bench.stats.connections >= 5 or bad == "forbidden")
            await bench.until(lambda: all(one.is_published() for one in good))
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)
            assert bench.intake.seen == [("own/a", b"%d" % i) for i in range(5)]

    run(story())


@PROTOCOLS
def test_paho_subscribes_and_hears_what_became_durable(run, serving, protocol):
    async def story():
        async with serving() as bench:
            heard, granted = [], threading.Event()
            client = paho_client(protocol)
            client.on_connect = lambda c, *_: c.subscribe([("t/#", 1), ("u/+", 0)])
            client.on_subscribe = lambda *_: granted.set()
            client.on_message = lambda c, _, m: heard.append((m.topic, m.payload, m.qos))
            client.connect(bench.host, bench.port)
            client.loop_start()
            await bench.until(granted.is_set)
            bench.feed.push("ada", ("t/1", b"x"), ("v", b"no"), ("u/1", b"y"))
            await bench.until(lambda: len(heard) == 2)
            assert sorted(heard) == [("t/1", b"x", 0), ("u/1", b"y", 0)]
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    run(story())


@pytest.mark.parametrize(("token", "code"), [("good", "Success"), ("wrong", "Bad user name")])
def test_paho_is_told_about_its_credentials(run, serving, token, code):
    async def story():
        async with serving() as bench:
            answers = []
            client = paho_client(paho.MQTTv5, token=token)
            client.on_connect = lambda c, u, f, reason, p: answers.append(str(reason))
            client.connect(bench.host, bench.port)
            client.loop_start()
            await bench.until(lambda: answers)
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)
            assert answers[0].startswith(code)

    run(story())


def test_gmqtt_publishes_with_properties_at_every_quality(run, serving):
    async def story():
        async with serving() as bench:
            client = gmqtt.Client("g", clean_session=True)
            client.set_auth_credentials("unit", "good")
            await client.connect(bench.host, bench.port, version=gmqtt.constants.MQTTv50)
            for qos in (0, 1, 2):
                client.publish(
                    f"t/{qos}", b"v", qos=qos,
                    user_property=[("id", f"i{qos}"), ("time", "1000")], content_type="text",
                )  # fmt: skip
            await bench.until(lambda: len(bench.intake.messages) == 3)
            assert bench.intake.messages == [
                (f"t/{qos}", b"v", 1_000_000_000, f"i{qos}") for qos in (0, 1, 2)
            ]
            await client.disconnect()

    run(story())


def test_tls_with_a_certificate_from_files(run, serving, certificate):
    async def story():
        pem, key = certificate
        tls = {"tls_listen": "127.0.0.1:0", "tls_certificate": pem, "tls_key": key}
        async with serving(mqtt=tls) as bench:
            host, port = bench.endpoint.addresses[1]

            def device():
                client = paho_client(paho.MQTTv5)
                client.tls_set_context(ssl.create_default_context(cafile=pem))
                client.connect(host, port)
                client.loop_start()
                client.publish("t", b"over tls", 1).wait_for_publish(10)
                client.disconnect()
                client.loop_stop()

            await asyncio.to_thread(device)
            assert bench.intake.seen == [("t", b"over tls")]
            plain = await asyncio.open_connection(host, port)
            plain[1].write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
            assert b"\x20\x02" not in await plain[0].read(100)
            plain[1].close()

    run(story())


def test_a_certificate_that_cannot_be_read_is_named(run, serving, tmp_path):
    async def story():
        tls = {"tls_listen": "127.0.0.1:0", "tls_certificate": tmp_path / "missing.pem"}
        async with serving(mqtt=tls):
            pass

    with pytest.raises(SettingsError, match=r"missing\.pem"):
        run(story())
