"""Containers without Docker: buildah builds the images, podman and runc run them.

    deploy/image/Dockerfile ──deploy/image/without-docker──> image ──podman run──> Container
                                                                                       │
                       Kafka, ClickHouse at the gateway of the network <──── Network ──┘

Images and containers lie in .tools/deploy/containers and are of this clone alone: what the
machine's own engine holds is neither seen nor changed. Networks want root.
"""

import fcntl
import functools
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.deploy.tools import DEPLOY

ROOT = DEPLOY.parent
FOLDER = ROOT / ".tools" / "deploy" / "containers"
USER = "65532"
START = 120.0  # seconds until a container answers, on a busy machine
_PROGRAMS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "podman": "podman", "runc": "runc"}
_PLACES = ("/", "/etc", "/etc/lakebed", "/opt/lakebed", "/run", "/tmp", "/var/lib", "/var/tmp")
_NETAVARK = Path("/usr/lib/podman/netavark")

marks = [
    pytest.mark.skipif(os.environ.get("LAKEBED_DEPLOY") != "1", reason="make deploy-check does it"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root"),
    pytest.mark.timeout(1800),
]
"""Of tests that run containers: they fetch packages and take minutes."""


def run_folder() -> Path:
    """For sockets and locks: the length of a socket's path is limited."""
    return Path(f"/run/lakebed-{zlib.crc32(str(FOLDER).encode()):08x}")


@functools.cache
def environment() -> dict[str, str]:
    """That of buildah and podman; skips at a desk where one of them is missing, fails in CI."""
    missing = [package for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if not _NETAVARK.exists():
        missing.append("netavark and aardvark-dns")
    if missing:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"missing (Debian): {', '.join(missing)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    run = run_folder()
    # limits beyond those of this process may only be set by the kernel's administrator
    limits = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    most = {name: min(resource.getrlimit(what)[1], 16_384) for name, what in limits.items()}
    ulimits = json.dumps([f"{name}={most[name]}:{most[name]}" for name in limits])
    (FOLDER / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{FOLDER}/images"\nrunroot = "{run}/storage"\n'
    )
    (FOLDER / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = {ulimits}\n"
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'tmp_dir = "{run}/libpod"\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{FOLDER}/networks"\n'
    )
    return os.environ | {
        "CONTAINERS_STORAGE_CONF": str(FOLDER / "storage.conf"),
        "CONTAINERS_CONF": str(FOLDER / "containers.conf"),
        "DISABLE_HC_SYSTEMD": "true",  # tests ask for health when they want to know it
    }


def podman(*command: str | Path) -> str:
    """Its answer."""
    done = subprocess.run(
        ["podman", *command], env=environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"podman {command[0]}: {done.stderr}"
    return done.stdout.strip()


@functools.cache
def image(stores: str) -> str:
    """Build the image with `all` or the one for `servers`, and return its name.

    What has not changed since the last build is taken from there.
    """
    name = f"localhost/lakebed:{stores}"
    done = subprocess.run(
        [DEPLOY / "image" / "without-docker", stores, name], env=environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return name


@functools.cache
def built(name: str) -> str:
    """Build an image of tests/deploy/images, on the base that ours has, and return its name."""
    image("servers")
    folder = Path(__file__).parent / "images" / name
    tag = f"localhost/{name}"
    done = subprocess.run(
        ["buildah", "build", "--quiet", "--isolation=chroot", "--layers", "--pull-never",
         "--tag", tag, folder],
        env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return tag


def size(name: str) -> int:
    """Of an image, in bytes, unpacked."""
    return int(podman("image", "inspect", "--format={{.Size}}", name))


class Network(NamedTuple):
    """Attributes:
    gateway: address at which containers reach servers of this machine.
    """

    name: str
    gateway: str


@contextmanager
def network() -> Iterator[Network]:
    """A network for containers; one that only waits keeps the gateway there."""
    environment()
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one run at a time
        podman("rm", "--all", "--force", "--time=0")  # of a run that was killed
        try:
            yield from _network()
        finally:
            podman("image", "unmount", "--all")


def _network() -> Iterator[Network]:
    name = f"lakebed-{secrets.token_hex(4)}"
    podman("network", "create", name)
    (found,) = json.loads(podman("network", "inspect", name))
    options = (f"--network={name}", "--entrypoint=sleep", "--stop-timeout=0")
    anchor = podman("run", "--detach", "--rm", *options, image("servers"), "infinity")
    try:
        yield Network(name, found["subnets"][0]["gateway"])
    finally:
        podman("rm", "--force", anchor)
        podman("network", "rm", "--force", name)


class Container:
    """A container that runs; `remove` ends it whatever it does.

    Args:
        options: of `podman run`.
        command: what follows the image's entry point.
    """

    def __init__(self, name: str, options: Sequence[str], command: Sequence[str]) -> None:
        self._started = time.monotonic()
        self.id = podman("run", "--detach", *options, name, *command)

    @classmethod
    def found(cls, name: str) -> "Container":
        """One that somebody else started, just now."""
        made = cls.__new__(cls)
        made.id, made._started = name, time.monotonic()
        return made

    def inspect(self) -> dict[str, Any]:
        (found,) = json.loads(podman("inspect", self.id))
        assert isinstance(found, dict)
        return found

    @property
    def address(self) -> str:
        """Its own, in the first network that it is in."""
        (network, *_) = self.inspect()["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def published(self, port: int) -> str:
        """HOST:PORT at which this machine leads to a port of it."""
        return podman("port", self.id, str(port)).splitlines()[0]

    @property
    def log(self) -> str:
        done = subprocess.run(
            ["podman", "logs", self.id], env=environment(), capture_output=True, text=True
        )
        return done.stdout + done.stderr

    def wait_ready(self, url: str) -> float:
        """Wait until it says yes at an address; returns the seconds since its start."""
        while time.monotonic() < self._started + START:
            try:
                if httpx.get(url, timeout=5).status_code == 200:
                    return time.monotonic() - self._started
            except httpx.HTTPError:
                pass
            state = self.inspect()["State"]
            assert state["Running"], f"it ended with {state['ExitCode']}: {self.log}"
            time.sleep(0.1)
        raise AssertionError(f"it is not ready: {self.log}")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Another program in it, as `docker exec`."""
        return subprocess.run(
            ["podman", "exec", self.id, *command], env=environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        done = subprocess.run(
            ["podman", "exec", "--interactive", self.id,
             "install", "-D", "-m", f"{mode:o}", "/dev/stdin", path],
            env=environment(), input=text, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def ask(self, *command: str) -> str:
        """The answer of a program in it that must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def status(self, pid: str) -> dict[str, str]:
        """Of a process in it, as Linux tells it."""
        lines = self.ask("cat", f"/proc/{pid}/status").splitlines()
        return dict(line.split(":\t", 1) for line in lines)

    def mounts(self, pid: str) -> dict[str, str]:
        """Where something is mounted in the eyes of a process, and with which options."""
        lines = self.ask("cat", f"/proc/{pid}/mounts").splitlines()
        return dict(line.split()[1:4:2] for line in lines)

    def assert_contained(self, *writable: str) -> None:
        """It is nobody, has no rights, and can write to these folders only."""
        said = self.status("1")
        assert said["Name"] == "lakebed"
        assert set(said["Uid"].split()) == set(said["Gid"].split()) == {USER}
        assert {said[f"Cap{of}"] for of in ("Eff", "Prm", "Inh", "Bnd", "Amb")} == {"0" * 16}
        assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
        assert self.mounts("1")["/"].startswith("ro,")
        for folder in {*writable, *_PLACES}:
            done = self.run("touch", f"{folder}/probe")
            assert (done.returncode == 0) == (folder in writable), folder

    def is_healthy(self) -> bool:
        """What the image's health check says now."""
        done = subprocess.run(
            ["podman", "healthcheck", "run", self.id], env=environment(), capture_output=True
        )
        return done.returncode == 0

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when its time is over; returns the exit code."""
        podman("stop", self.id)
        return int(self.inspect()["State"]["ExitCode"])

    def remove(self) -> None:
        podman("rm", "--force", "--time=0", self.id)
