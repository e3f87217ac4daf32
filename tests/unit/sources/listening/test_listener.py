"""A listener: who may send, what is held back, what is refused and what is lost."""

import asyncio
import json
import socket
import ssl
from pathlib import Path

from tests.certificates import self_signed
from tests.listening import listening

from lakebed.sources.syslog.listener import syslog
from lakebed.sources.syslog.settings import SyslogSection

LOCAL = "127.0.0.1:0"


def section(**settings: object) -> SyslogSection:
    given = {"listen": LOCAL, "udp_listen": LOCAL, "owner": "ann"} | settings
    return SyslogSection.model_validate(given)


def datagrams(port: int, *data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for one in data:
            sender.sendto(one, ("127.0.0.1", port))


def test_tcp_and_udp_come_to_the_owner() -> None:
    async def run() -> None:
        async with listening(syslog, section()) as site:
            await site.send(b"<13>one: 1\n11 <13>two: 22")
            await site.send(b"<13>three: without an end")
            datagrams(site.udp_port, b"<13>four: 4", b"<13>five: 5\n")
            await site.until(lambda: len(site.messages) == 5)
            entries = site.journal.entries(0, 0, 10)
            assert {c.owner for entry in entries for c in entry.batch.channels} == {"ann"}
            found = dict(site.messages)
            assert json.loads(found["syslog/127.0.0.1/two"])["message"] == "22"
            assert site.listener.health().detail["messages"] == 5

    asyncio.run(run())


def test_a_foreign_network_is_turned_away_and_told() -> None:
    async def run() -> None:
        async with listening(syslog, section(networks=["10.0.0.0/8"])) as site:
            await site.send(b"<13>one: 1\n")
            datagrams(site.udp_port, b"<13>a: 1", b"<13>a: 2")
            refused = site.intake.refusals.total
            await site.until(lambda: refused["syslog", "not_authorized"] == 3)
            assert site.messages == []

    asyncio.run(run())


def test_a_full_journal_holds_tcp_back_and_udp_loses_what_the_kernel_counts() -> None:
    async def run() -> None:
        async with listening(syslog, section()) as site:
            site.journal.full = True
            datagrams(site.udp_port, b"<13>first: shuts the gate")
            await site.until(lambda: not site.intake.is_open)
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            lines = [b"<13>held: %d %b\n" % (i, b"x" * 1000) for i in range(20_000)]
            writer.writelines(lines)
            with_time_out = asyncio.wait_for(writer.drain(), 0.3)
            held = await asyncio.gather(with_time_out, return_exceptions=True)
            assert isinstance(held[0], TimeoutError)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(40_000):
                    sender.sendto(b"x" * 1000, ("127.0.0.1", site.udp_port))
            site.journal.full = False
            await writer.drain()
            writer.close()
            lost = site.listener.stats.lost
            await site.until(lambda: site.listener.stats.messages["tcp"] == 20_000)
            await site.until(lambda: lost["kernel"] > 0)
            taken = site.listener.stats.messages
            await site.until(lambda: taken["udp"] + lost["kernel"] == 40_001)
            assert "kernel" in site.listener.health().message
            del reader

    asyncio.run(run())


def test_what_is_too_long_is_a_dead_letter_and_what_is_cut_off_is_counted() -> None:
    async def run() -> None:
        async with listening(syslog, section(), longest=200) as site:
            await site.send(b"<13>x: " + b"y" * 300 + b"\n<13>good: 1\n90 <13>half: ")
            await site.until(lambda: site.listener.stats.lost["cut_off"] == 1)
            await site.until(lambda: len(site.messages) == 1)
            total = site.intake.refusals.total
            assert total["syslog", "too_large"] == total["syslog", "cut_off"] == 1
            letters = site.intake.refusals._letters
            assert [letter.owner for letter in letters] == ["ann", "ann"]

    asyncio.run(run())


def test_limits_of_the_owner_hold() -> None:
    async def run() -> None:
        limits = {"messages": "2/1h", "over": "refuse"}
        async with listening(syslog, section(), limits=limits) as site:
            await site.send(b"".join(b"<13>a: %d\n" % i for i in range(5)))
            total = site.intake.refusals.total
            await site.until(lambda: total["syslog", "quota_exceeded"] == 3)
            await site.until(lambda: len(site.messages) == 2)

    asyncio.run(run())


def test_connections_are_bounded() -> None:
    async def run() -> None:
        async with listening(syslog, section(max_connections=1)) as site:
            _, first = await asyncio.open_connection("127.0.0.1", site.port)
            await site.until(lambda: site.listener.stats.connections == 1)
            reader, second = await asyncio.open_connection("127.0.0.1", site.port)
            ended = await asyncio.gather(reader.read(), return_exceptions=True)
            assert ended[0] == b"" or isinstance(ended[0], ConnectionError)
            for writer in (first, second):
                writer.close()

    asyncio.run(run())


def test_tls_asks_for_a_certificate_where_an_authority_is_named(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def run() -> None:
        tls = {"listen": None, "udp_listen": None, "tls_listen": LOCAL,
               "tls_certificate": certificate, "tls_key": key}  # fmt: skip
        context = ssl.create_default_context(cafile=str(certificate))
        async with listening(syslog, section(**tls)) as site:
            await site.send(b"<13>tls: 1\n", ssl=context)
            await site.until(lambda: len(site.messages) == 1)
        async with listening(syslog, section(**tls, tls_client_ca=certificate)) as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port, ssl=context)
            writer.write(b"<13>without: 1\n")
            await asyncio.gather(reader.read(), return_exceptions=True)  # it ends
            context.load_cert_chain(certificate, key)
            await site.send(b"<13>with: 1\n", ssl=context)
            await site.until(lambda: [topic for topic, _ in site.messages] ==
                             ["syslog/127.0.0.1/with"])  # fmt: skip

    asyncio.run(run())
