"""The image is built and run: everything in one container, as docs/howto/deploy.md says.

the guide's `docker run … up` ──as `podman run`──> lakebed up, its home in a volume
"""

import re
import shlex
from collections.abc import Iterator

import pytest
from paho.mqtt.publish import single

from tests.deploy import engine
from tests.deploy.engine import Container
from tests.deploy.test_image import ROOT
from tests.server import Api, eventually

pytestmark = engine.marks
GUIDE = ROOT / "docs" / "howto" / "deploy.md"
HOME = "/var/lib/lakebed"
MEGABYTE = 1_000_000
ROOM = {"servers": 600 * MEGABYTE, "all": 1_300 * MEGABYTE}
"""What an image may weigh, unpacked: it grows by decision, not by accident."""


@pytest.mark.parametrize("stores", ["servers", "all"])
def test_the_image_is_built_and_weighs_what_it_may(stores: str, measured: list[str]) -> None:
    weight = engine.size(engine.image(stores))
    measured.append(f"image for {stores}: {weight / MEGABYTE:.0f} MB")
    assert weight < ROOM[stores]


@pytest.mark.parametrize("stores", ["servers", "all"])
def test_the_image_has_the_program_compiled_and_only_what_it_needs(stores: str) -> None:
    found = engine.podman(
        "run", "--rm", "--network=none", "--entrypoint=python", engine.image(stores), "-c",
        "import importlib.util as u, lakebed.sources.mqtt.codec.plain as p\n"
        "names = 'chdb', 'confluent_kafka', 'psycopg', 'pytest', 'mypy', 'pip', 'uv'\n"
        "print(p.__file__, *(n for n in names if u.find_spec(n)))",
    )  # fmt: skip
    plain, *there = found.split()
    assert plain.endswith(".so")
    assert there == ["chdb"] * (stores == "all") + ["confluent_kafka", "psycopg"]


def test_the_image_explains_itself() -> None:
    run = ("run", "--rm", "--network=none", engine.image("servers"))
    assert "serve" in engine.podman(*run)
    assert re.match(r"lakebed \d", engine.podman(*run, "--version"))


def test_the_image_keeps_nothing_of_its_build() -> None:
    found = engine.podman(
        "run", "--rm", "--network=none", "--user=0", "--entrypoint=sh", engine.image("servers"),
        "-c", "ls -d /source /opt/* 2>/dev/null; "
        "find /run /root /tmp /var/tmp /var/lib/apt/lists /var/lib/lakebed -type f",
    )  # fmt: skip
    debian = {"/root/.bashrc", "/root/.profile", "/run/.containerenv"}
    assert set(found.split()) - debian == {"/opt/lakebed"}


def documented(volume: str, network: str) -> list[str]:
    """The options of the guide's `docker run`, with names and ports that are free."""
    found = re.search(r"^docker run ((?:.*\\\n)*.*)$", GUIDE.read_text(), re.MULTILINE)
    assert found is not None
    *options, image, command = shlex.split(found[1].replace("\\\n", " "))
    assert (image, command) == ("lakebed:embedded", "up")
    text = "\0".join(options)
    for given, free in (
        ("--detach\0--name\0lakebed\0", f"--network={network}\0"),
        ("127.0.0.1:8080:8080", "127.0.0.1::8080"),
        ("127.0.0.1:1883:1883", "127.0.0.1::1883"),
        ("--volume\0lakebed:", f"--volume\0{volume}:"),
        ("--restart\0unless-stopped\0", ""),  # tests want to see it end
    ):
        assert given in text, given
        text = text.replace(given, free)
    # unlike Docker, podman would add some that can be written to
    return ["--read-only-tmpfs=false", *text.split("\0")]


class Everything(Container):
    """`lakebed up` in a container."""

    def __init__(self, volume: str, network: engine.Network) -> None:
        super().__init__(engine.image("all"), documented(volume, network.name), ["up"])
        self.url = f"http://{self.published(8080)}"

    def start(self) -> Api:
        """Wait until it is ready; returns who asks it."""
        self.wait_ready(f"{self.url}/readyz")
        return Api(self.url, self.ask("cat", "admin.token"))


@pytest.fixture(scope="module")
def volume(network: engine.Network) -> Iterator[str]:
    name = f"home-{network.name}"
    yield name
    engine.podman("volume", "rm", "--force", name)


@pytest.fixture(scope="module")
def up(volume: str, network: engine.Network) -> Iterator[Everything]:
    running = Everything(volume, network)
    try:
        yield running
    finally:
        running.remove()


def values(api: Api, topic: str, count: int) -> list[float]:
    """Those kept, once there are so many."""

    def kept() -> list[float]:
        found = api.get("/api/v1/records", topic=topic)["records"]
        return [record["value"] for record in found] if len(found) >= count else []

    found: list[float] = eventually(kept, 60)
    return found


def test_messages_by_mqtt_and_http_are_kept_and_read_back(
    up: Everything, measured: list[str]
) -> None:
    took = up.wait_ready(f"{up.url}/readyz")
    measured.append(f"lakebed up: ready after {took:.1f} s")
    api = up.start()
    api.put_policies([{"name": "all", "topics": ["a/#"], "type": "number", "keep": "archive"}])
    host, port = up.published(1883).split(":")
    login = {"username": "me", "password": api.token}
    single("a/mqtt", b"21.5", qos=1, hostname=host, port=int(port), auth=login)
    api.send("a/http", b"22.5")
    assert values(api, "a/mqtt", 1) == [21.5]
    assert values(api, "a/http", 1) == [22.5]
    assert "22.5" in up.ask("lakebed", "query", "a/http")


def test_the_container_is_nobody_and_writes_to_its_home_only(up: Everything) -> None:
    up.start()
    up.assert_contained(HOME, "/tmp")


def test_the_health_check_notices_a_process_that_hangs(up: Everything) -> None:
    up.start()
    assert up.is_healthy()
    engine.podman("kill", "--signal=STOP", up.id)
    assert not up.is_healthy()
    engine.podman("kill", "--signal=CONT", up.id)
    assert up.is_healthy()


def test_a_second_container_on_a_home_is_refused(
    up: Everything, volume: str, network: engine.Network
) -> None:
    up.start()
    second = Everything(volume, network)
    try:
        engine.podman("wait", second.id)
        assert second.inspect()["State"]["ExitCode"] not in (0, 137)
        assert HOME in second.log
    finally:
        second.remove()


def test_what_was_acknowledged_is_there_in_a_new_container_after_a_kill(
    up: Everything, volume: str, network: engine.Network, measured: list[str]
) -> None:
    up.start().send("a/killed", b"23.5")
    engine.podman("kill", up.id)
    up.remove()
    successor = Everything(volume, network)
    try:
        assert values(successor.start(), "a/killed", 1) == [23.5]
        assert successor.stop() == 0, successor.log
    finally:
        successor.remove()
