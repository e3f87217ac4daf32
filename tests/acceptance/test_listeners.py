"""Producers that people have: logger, rsyslog and pygelf send to a server of theirs."""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import processes
from tests.ports import free_port
from tests.server import Server, eventually
from tests.servers import unavailable

UDP = "127.0.0.2"
"""Where UDP listens: `free_port` holds the UDP port of the usual address."""

pytestmark = [pytest.mark.slow(15), pytest.mark.timeout(300)]


class Site:
    """A server with listeners, all of whose messages are kept."""

    def __init__(self, server: Server, ports: dict[str, int]) -> None:
        self.server, self.ports = server, ports

    def values(self, topic: str, count: int) -> list[Any]:
        """What is kept on a topic, once there is so much."""
        self.server.settle(lambda _: len(self.server.records(topic, "logs")) >= count)
        return [record["value"] for record in self.server.records(topic, "logs")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ports = {name: free_port() for name in ("syslog", "gelf")}
    settings = {
        f"{name.upper()}__{key}": value
        for name, port in ports.items()
        for key, value in (("LISTEN", f"127.0.0.1:{port}"), ("UDP_LISTEN", f"{UDP}:{port}"),
                           ("OWNER", "admin"))
    }  # fmt: skip
    with Server(tmp_path_factory.mktemp("listeners") / "home", settings) as server:
        topics = ["syslog/#", "gelf/#"]
        policy = {"name": "logs", "topics": topics, "keep": "archive", "type": "json",
                  "buffer": "0s"}  # fmt: skip
        server.put_policies([policy])
        yield Site(server, ports)


def logger(site: Site, *options: str) -> None:
    port = str(site.ports["syslog"])
    host = UDP if "--udp" in options else "127.0.0.1"
    subprocess.run(["logger", "--server", host, "--port", port, *options], check=True)


def test_logger_in_both_formats_over_both_transports(site: Site) -> None:
    logger(site, "--tcp", "--tag", "backup", "-p", "daemon.err", "--rfc5424=nohost", "disk is full")
    logger(site, "--udp", "--tag", "backup", "--sd-id", "shed@1", "--sd-param", 'rack="3"',
           "--msgid", "M1", "--rfc5424=nohost,notq", "structured")  # fmt: skip
    logger(site, "--tcp", "--tag", "old", "--id=77", "--rfc3164", "text one")
    logger(site, "--tcp", "--octet-count", "--tag", "old", "--rfc3164", "text two")
    first, second = site.values("syslog/127.0.0.1/backup", 2)
    assert (first["message"], first["severity"], first["facility"]) == (
        "disk is full", "err", "daemon",
    )  # fmt: skip
    assert (second["msgid"], second["data"]) == ("M1", {"shed@1": {"rack": "3"}})
    topics = {one["topic"] for one in site.server.get("/api/v1/topics")["topics"]}
    (old,) = {topic for topic in topics if topic.endswith("/old")}
    found = site.values(old, 2)
    assert [one["message"] for one in found] == ["text one", "text two"]
    assert found[0]["pid"] == "77"


@contextmanager
def rsyslog(folder: Path, port: int) -> Iterator[Path]:
    """An rsyslogd without root that sends what comes to its socket, over TCP and UDP."""
    socket, config = folder / "log", folder / "rsyslog.conf"
    config.write_text(
        f"""
        global(workDirectory="{folder}")
        module(load="imuxsock" SysSock.Use="off")
        input(type="imuxsock" Socket="{socket}" UseSysTimeStamp="off")
        :programname, isequal, "overtcp" action(type="omfwd" target="127.0.0.1" port="{port}"
            protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
        :programname, isequal, "overudp" action(type="omfwd" target="{UDP}" port="{port}"
            protocol="udp" template="RSYSLOG_TraditionalForwardFormat")
        """
    )
    program = shutil.which("rsyslogd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        unavailable("rsyslogd")
    command = [program, "-n", "-f", str(config), "-i", str(folder / "pid")]
    with (folder / "output").open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, env=processes.clean())
    try:
        yield socket
    finally:
        running.terminate()
        running.wait(20)


def test_rsyslog_forwards_by_tcp_and_udp(site: Site, tmp_path: Path) -> None:
    with rsyslog(tmp_path, site.ports["syslog"]) as socket:
        eventually(socket.exists)
        for tag in ("overtcp", "overudp"):
            for number in range(3):
                subprocess.run(
                    ["logger", "--socket", str(socket), "--tag", tag, f"number {number}"],
                    check=True,
                )
        topics: set[str] = set()

        def come() -> bool:
            listed = site.server.get("/api/v1/topics")["topics"]
            topics.update(one["topic"] for one in listed if "/over" in one["topic"])
            return len(topics) == 2

        eventually(come)
        for topic in topics:
            found = site.values(topic, 3)
            assert [one["message"].strip() for one in found] == [f"number {n}" for n in range(3)]


def test_pygelf_over_tcp_and_udp_with_chunks(site: Site) -> None:
    from pygelf import GelfTcpHandler, GelfUdpHandler

    port = site.ports["gelf"]
    handlers = [
        GelfTcpHandler("127.0.0.1", port, _app="shop"),
        GelfUdpHandler(UDP, port, _app="shop", compress=True),
        GelfUdpHandler(UDP, port, _app="shop", compress=False, chunk_size=500),
    ]
    long = "x" * 5_000
    for number, handler in enumerate(handlers):
        record = logging.LogRecord("till", logging.WARNING, "", 1, long, (), None)
        record.created = 1769860800.25 + number
        handler.emit(record)
        handler.close()

    def topic() -> str:
        listed = site.server.get("/api/v1/topics")["topics"]
        found = [one["topic"] for one in listed if one["topic"].startswith("gelf/")]
        assert len(found) == 1
        return str(found[0])

    found = site.values(eventually(topic), 3)
    assert [one["short_message"] for one in found] == [long] * 3
    assert {(one["level"], one["_app"]) for one in found} == {(4, "shop")}
    records = site.server.records(topic(), "logs")
    assert records[0]["time"].startswith("2026-01-31T12:00:00.25")
