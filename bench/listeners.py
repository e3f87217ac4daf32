"""Syslog, GELF and Sparkplug B: a number in each message, on a thousand topics, two policies.

    python -m bench.listeners syslog|gelf|sparkplug [--udp] [--messages 500000]

Over TCP as fast as it goes, over four connections; by UDP 10,000 a second, where what is lost is
shown. Sparkplug goes through Debian's `mosquitto`, QoS 1, ten values of a metric to a message.
"""

import argparse
import asyncio
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.ports import free_port
from tests.server import Server, assert_sum

from bench.apart import apart
from bench.content import expected, verify
from bench.load import Load, Measured, connect, publish, value
from bench.peers.broker import Broker
from bench.report import Figures, Report, Usage
from lakebed.sources.mqtt.sparkplug import sparkplug_b_pb2 as tahu

_TOPICS = 1000
_CONNECTIONS = 4
_VALUES = 10  # of a metric in one message of Sparkplug
_UDP_RATE = 10_000
_UDP = "127.0.0.2"  # `free_port` holds the UDP port of the usual address
_SECOND = int(time.time())
_NOW = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(_SECOND))
_POINTER = {"syslog": "/message", "gelf": "/short_message"}
_SPARKPLUG = """\
[[sources]]
name = "bench"
url = "mqtt://127.0.0.1:{port}"
topics = ["spBv1.0/#"]
sparkplug = true
sparkplug_topic = "GROUP/NODE/METRIC"
"""


def _syslog(i: int) -> bytes:
    return (
        f"<13>1 {_NOW}.{i % 1000:03d}Z {i % _TOPICS:06d} bench {i} - "
        f'[origin software="bench" swVersion="1"] {value(i):.2f}'
    ).encode()


def _gelf(i: int) -> bytes:
    return (
        f'{{"version":"1.1","host":"{i % _TOPICS:06d}","short_message":"{value(i):.2f}",'
        f'"timestamp":{_SECOND}.{i % 1000:03d},"level":6,"_app":"bench"}}'
    ).encode()


def _framed(name: str, i: int) -> bytes:
    if name == "gelf":
        return _gelf(i) + b"\0"
    made = _syslog(i)
    return b"%d %b" % (len(made), made)


def _sparkplug(messages: int) -> list[bytes]:
    """PUBLISH packets: a birth for each node, with its first value, then data."""
    packets = []
    for node in range(_TOPICS):
        birth = tahu.Payload(timestamp=_SECOND * 1000, seq=0)
        birth.metrics.add(name="temperature", alias=1, datatype=tahu.Double,
                          double_value=value(node))  # fmt: skip
        packets.append((f"spBv1.0/plant/NBIRTH/{node:06d}", birth))
    rest = list(range(_TOPICS, messages))
    for start in range(0, len(rest), _TOPICS * _VALUES):
        for node in range(_TOPICS):
            indices = rest[start + node : start + _TOPICS * _VALUES : _TOPICS]
            if not indices:
                continue
            data = tahu.Payload(
                timestamp=1_769_860_801_000, seq=(start // _TOPICS // _VALUES + 1) % 256
            )
            for i in indices:
                data.metrics.add(alias=1, timestamp=_SECOND * 1000 + i % 1000,
                                 double_value=value(i))  # fmt: skip
            packets.append((f"spBv1.0/plant/NDATA/{node:06d}", data))
    return [
        publish(topic.encode(), made.SerializeToString(), 1, number % 65535 + 1)
        for number, (topic, made) in enumerate(packets)
    ]


async def stream(name: str, port: int, messages: int) -> Measured:
    if name == "sparkplug":
        shares = [[connect("bench", "none"), *_sparkplug(messages)]]
    else:
        shares = [
            [_framed(name, i) for i in range(first, messages, _CONNECTIONS)]
            for first in range(_CONNECTIONS)
        ]
    pieces = [[b"".join(s[i : i + 500]) for i in range(0, len(s), 500)] for s in shares]
    answers = 4 * len(shares[0]) if name == "sparkplug" else 0  # CONNACK and PUBACKs
    began, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(_write(port, share, answers) for share in pieces))
    return Measured(began, time.monotonic() - began, time.process_time() - cpu)


async def _write(port: int, pieces: list[bytes], answers: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = asyncio.ensure_future(reader.readexactly(answers))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    await answered
    writer.close()
    await writer.wait_closed()


def _datagrams(name: str, port: int, messages: int) -> Measured:
    made = [_gelf(i) if name == "gelf" else _syslog(i) for i in range(messages)]
    began, cpu = time.monotonic(), time.process_time()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for start in range(0, messages, 100):
            time.sleep(max(0.0, began + start / _UDP_RATE - time.monotonic()))
            for one in made[start : start + 100]:
                sender.sendto(one, (_UDP, port))
    return Measured(began, time.monotonic() - began, time.process_time() - cpu)


def _run(name: str, messages: int, udp: bool) -> Figures:
    load = Load(0, "none", messages, topics=_TOPICS)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        home.mkdir()
        settings: dict[str, str] = {}
        if name == "sparkplug":
            broker = stack.enter_context(Broker(Path(folder)))
            port = broker.port
            (home / "lakebed.toml").write_text(_SPARKPLUG.format(port=port))
        else:
            key, host = ("UDP_LISTEN", _UDP) if udp else ("LISTEN", "127.0.0.1")
            part = name.upper()
            settings = {f"{part}__{key}": f"{host}:{port}", f"{part}__OWNER": "admin",
                        f"{part}__TOPIC": "plant/HOST/temperature"}  # fmt: skip
        with Server(home, settings) as server:
            at = {"at": _POINTER[name]} if name in _POINTER else {}
            for policy in ({"name": "now", "keep": "last_value", "every": "10s"},
                           {"name": "hour", "keep": "window", "for": "1h"}):  # fmt: skip
                server.put_policy(topics=["plant/+/temperature"], type="number", **policy, **at)
            server.wait_in_force()
            if name == "sparkplug":
                broker.wait_for_subscription("spBv1.0/#")
            usage = Usage(server.pid)
            sent = apart(_datagrams if udp else stream, name, port, messages)
            lost = _arrived(server, name, messages, udp)
            flow = server.settle(lambda flow: flow["kept"] >= messages - lost)
            stored = time.monotonic() - sent.began
            assert_sum(flow)
            figures: Figures = {
                "messages": messages,
                "stored msg/s": (messages - lost) / stored,
                "server CPU µs/msg": usage.cpu / messages * 1e6,
                **usage.by_thread(messages),
                "generator CPU µs/msg": sent.cpu / messages * 1e6,
                "peak RSS MiB": usage.peak_mib,
                **({"lost": lost} if udp else {}),
            }
        if not lost:
            verify(home, expected(load), {"hour": "window"}, "")
        return figures


def _arrived(server: Server, name: str, messages: int, udp: bool) -> int:
    """How many are lost, once all others are there."""
    until = time.monotonic() + 120
    while True:
        flow = server.flow()
        part = server.get("/readyz")["parts"]["source bench" if name == "sparkplug" else name]
        lost = part.get("lost", 0)
        if flow["received"] + lost >= messages:
            return int(lost) if udp else 0
        assert time.monotonic() < until, f"not all arrived: {flow} {part}"
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=("syslog", "gelf", "sparkplug"))
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--udp", action="store_true")
    given = parser.parse_args()
    how = {"sparkplug": f"through Mosquitto, QoS 1, {_VALUES} values to a message"}.get(
        given.name, f"UDP, {_UDP_RATE:,} a second" if given.udp else f"TCP, {_CONNECTIONS} senders"
    )
    Report(
        given.name + "-udp" * given.udp,
        f"{how}, {_TOPICS:,} topics, last value and window",
        f"python -m bench.listeners {given.name}" + " --udp" * given.udp,
        _run(given.name, given.messages, given.udp),
    ).show()


if __name__ == "__main__":
    main()
