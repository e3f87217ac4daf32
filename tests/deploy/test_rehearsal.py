"""What a build of the image does, and what containers of it do, without Docker.

    files that .dockerignore lets in ──deploy/image/build──> PREFIX ──> gateway, keeper, api

The processes run as the image runs them: as a user who is nobody, without privileges, on a file
system that is read-only but for their homes, over real servers. It fetches packages and takes its
time, so it runs only when asked: `make deploy-check`. It needs root, for mount namespaces.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cluster import Cluster, servers
from tests.deploy.test_image import FOLDER, ROOT, environment
from tests.ports import free_port
from tests.server import START, eventually

pytestmark = [
    pytest.mark.skipif(os.environ.get("LAKEBED_DEPLOY") != "1", reason="make deploy-check does it"),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root"),
    pytest.mark.timeout(1200),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]
USER = "65532"
_CONTAINED = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,ro,bind /
if mountpoint -q /tmp; then mount -o remount,ro,bind /tmp; fi
cd "$1"; shift
exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs \
    --inh-caps=-all --ambient-caps=-all --bounding-set=-all -- "$@"
""".replace("{user}", USER)
"""Its first argument is the only folder that can be written to."""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that any user may look into, unlike those of tests."""
    folder = Path(tempfile.mkdtemp(prefix="lakebed-image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def prefix(place: Path) -> Path:
    """Where the build put the program: what the image has at /opt/lakebed."""
    python = "/usr/bin/python3.11"  # one that other users may run
    if not Path(python).exists():
        pytest.skip(f"{python} is missing")
    source, made = _context(place / "source"), place / "lakebed"
    paths = f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
    for step in (["packages", made, "servers"], ["program", made]):
        done = subprocess.run(
            [source / "deploy/image/build", *step],
            env=os.environ | {"PATH": paths, "PYTHON": python},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return made


def _context(folder: Path) -> Path:
    """The files that Docker would send to the build."""
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", *let_in], cwd=ROOT, check=True, capture_output=True
    ).stdout
    for name in filter(None, tracked.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


class Container:
    """One process as Docker would run it.

    Args:
        stores: settings of the stores, as variables without their prefix.
    """

    def __init__(self, place: Path, prefix: Path, role: str, stores: dict[str, str]) -> None:
        self.role, self.home = role, place / f"home-{role}-{secrets.token_hex(2)}"
        self.home.mkdir()
        os.chown(self.home, int(USER), int(USER))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        given = {f"LAKEBED__{name}": value for name, value in stores.items()}
        own = {
            "PATH": f"{prefix}/bin:/usr/bin:/bin",
            "LAKEBED__HOME": str(self.home),
            "LAKEBED__HTTP__LISTEN": f"127.0.0.1:{port}",
            "LAKEBED__MQTT__LISTEN": f"127.0.0.1:{free_port()}",
        }
        self.log = place / f"{self.home.name}.log"
        command = ["lakebed", "serve", "--role", role]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _CONTAINED, "sh", self.home, *command],
                env=environment() | given | own, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def wait_ready(self) -> None:
        until = time.monotonic() + START
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"{self.role} is not ready: {self.log.read_text()}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def containers(place: Path, prefix: Path) -> Iterator[dict[str, Container]]:
    with servers() as on:
        stores = Cluster(place, on).settings
        roles = ("gateway", "keeper", "api")
        running = {role: Container(place, prefix, role, stores) for role in roles}
        try:
            for container in running.values():
                container.wait_ready()
            yield running
        finally:
            for container in running.values():
                container.kill()


def token_of(container: Container) -> str:
    found = Path(f"/proc/{container.process.pid}/environ").read_bytes().decode().split("\0")
    return next(v for k, _, v in (line.partition("=") for line in found) if "ADMIN_TOKEN" in k)


def test_the_build_leaves_chdb_out_and_compiles_the_rest(prefix: Path) -> None:
    (site,) = prefix.glob("lib/python*/site-packages")
    assert not (site / "chdb").exists()
    assert (site / "confluent_kafka").is_dir()
    assert (site / "psycopg").is_dir()
    assert list(site.glob("lakebed/__pycache__/settings.*.pyc"))
    said = subprocess.run([prefix / "bin/lakebed", "--version"], capture_output=True, text=True)
    assert re.match(r"lakebed \d", said.stdout)


def test_containers_take_a_message_in_keep_it_and_answer(containers: dict[str, Container]) -> None:
    api, gateway = containers["api"], containers["gateway"]
    asking = {"Authorization": f"Bearer {token_of(api)}"}
    policy = {"name": "p", "topics": ["a/#"], "type": "number", "keep": "archive"}
    made = httpx.post(f"{api.url}/api/v1/policies", json=policy, headers=asking)
    assert made.status_code == 201, made.text

    def kept() -> bool:
        sent = httpx.post(
            f"{gateway.url}/api/v1/messages", params={"topic": "a/b"}, headers=asking, content=b"5"
        )
        assert sent.status_code == 202, sent.text
        found = httpx.get(f"{api.url}/api/v1/records", params={"topic": "a/b"}, headers=asking)
        return found.status_code == 200 and bool(found.json()["records"])

    eventually(kept, 60)


def test_the_health_check_of_the_image_says_that_a_container_lives(
    containers: dict[str, Container], prefix: Path
) -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    found = re.search(r'CMD \["python", "-c", "(.+)"\]', dockerfile)
    assert found is not None
    for container in containers.values():
        program = found[1].replace("http://127.0.0.1:8080", container.url)
        done = subprocess.run([prefix / "bin/python", "-c", program], capture_output=True)
        assert done.returncode == 0, done.stderr


def test_a_container_writes_to_its_home_only_and_is_nobody(
    containers: dict[str, Container],
) -> None:
    for container in containers.values():
        status = Path(f"/proc/{container.process.pid}/status").read_text()
        assert re.search(rf"^Uid:\t{USER}\t{USER}\t{USER}\t", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        mounts = Path(f"/proc/{container.process.pid}/mounts").read_text()
        options = dict(re.findall(r"^\S+ (\S+) \S+ (\S+)", mounts, re.MULTILINE))
        assert options["/"].startswith("ro")
        assert options[str(container.home)].startswith("rw")


def test_a_container_stops_at_once_when_it_is_told(containers: dict[str, Container]) -> None:
    for container in containers.values():
        assert container.stop() == 0, container.log.read_text()
