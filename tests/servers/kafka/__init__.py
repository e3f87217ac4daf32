"""A real Apache Kafka for tests: KRaft, one node, free ports of the loopback, a folder of its own.

    pom.xml ──mvn──> .tools/kafka/HASH/*.jar ──java──> StorageTool format, then kafka.Kafka
                                                           ^
                     .tools/kafka/HASH.jsa: its classes, loaded and checked once

It needs Java 17 and Maven (Debian: openjdk-17-jre-headless, maven). Where one of them is missing
the tests skip at a desk and fail in CI.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.ports import free_port
from tests.servers import host, unavailable
from tests.servers.attended import Attended

_POM = Path(__file__).with_name("pom.xml")
_TOOLS = Path(__file__).parents[3] / ".tools"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_JVM = (
    "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)  # fmt: skip
_START = 90.0  # seconds; a loaded machine takes its time
_STOP = 60.0  # seconds
_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{ip}:{controller}
listeners=PLAINTEXT://{ip}:{port},FAR://{ip}:{far},CONTROLLER://{ip}:{controller}
advertised.listeners=PLAINTEXT://{ip}:{port},FAR://{ip}:{by}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
log.cleaner.dedupe.buffer.size=8388608
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
num.network.threads=2
num.io.threads=2
"""


def missing() -> str:
    """What this machine lacks to run it; empty where nothing."""
    return ", ".join(
        f"{program} (Debian: {package})"
        for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven"))
        if shutil.which(program) is None
    )


def jars() -> Path:
    """The folder with Kafka's jars, fetched once per state of pom.xml."""
    folder = _TOOLS / "kafka" / hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes start at the same time
        if not folder.is_dir():
            fresh = Path(tempfile.mkdtemp(dir=folder.parent))
            subprocess.run(
                ["mvn", "-q", "-B", "-f", _POM, _COPY, f"-DoutputDirectory={fresh}",
                 "-DincludeScope=runtime"],
                check=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            fresh.rename(folder)
    return folder


def archive() -> Path:
    """The JVM's archive of Kafka's classes, which halves the CPU of a start; made once.

    It belongs to these very files: the JVM ignores one that does not fit, as it does an empty one.
    """
    folder = jars()
    java = Path(shutil.which("java") or "").resolve()
    state = [(str(path), path.stat().st_mtime_ns) for path in (folder, java)]
    name = hashlib.sha256(repr(state).encode()).hexdigest()[:16]
    path = folder.with_name(f"{name}.jsa")
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
                made = Path(fresh) / "jsa"
                server = KafkaServer(Path(fresh), jvm=f"-XX:ArchiveClassesAtExit={made}")
                server.format()
                server.start()
                server.stop()
                made.touch()
                made.rename(path)
    return path


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where a broker is.

    Attributes:
        address: HOST:PORT, the same after every start.
        far: a second port of it, for those who come by another way.
        by: the port by which they come: nobody listens there but what a test puts there.
    """

    address: str
    far: int
    by: int


class KafkaServer:
    """Args:
        ip: where it listens.
        jvm: one more option of its JVM; None is that by which it uses the archive.

    Attributes:
        folder: all that it writes.
        at: where it is; `address` is the part that all need.
    """

    def __init__(self, folder: Path, ip: str = "127.0.0.1", jvm: str | None = None) -> None:
        self.folder = folder
        self._java = _java(f"-XX:SharedArchiveFile={archive()}" if jvm is None else jvm)
        port, controller, far, by = (free_port() for _ in range(4))
        self.at = KafkaAddress(f"{ip}:{port}", far, by)
        self.address = self.at.address
        self._settings = folder / "server.properties"
        self._settings.write_text(
            _SETTINGS.format(ip=ip, port=port, controller=controller, far=far, by=by, folder=folder)
        )
        self._log = folder / "kafka.log"
        self._process: Attended | None = None

    def format(self) -> None:
        subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", "bGFrZWJlZC1rYWZrYS10ZQ",
             "-c", self._settings],
            check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start and wait until it answers."""
        command = [*self._java, "kafka.Kafka", self._settings]
        self._process = Attended(command, self.folder, self._log)
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        deadline = time.monotonic() + _START
        while True:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                pass
            if time.monotonic() > deadline or self._process.ended:
                raise RuntimeError(f"Kafka did not start: {self._process.said()}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, as a machine that goes away."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def stop(self) -> None:
        """SIGTERM; returns when it has ended, or after a while."""
        assert self._process is not None
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP
        while not self._process.ended and time.monotonic() < deadline:
            time.sleep(0.1)
        self.kill()

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        self._process.signal(what)


def _java(option: str) -> tuple[str, ...]:
    return ("java", *_JVM, option, "-cp", f"{jars()}/*")


@contextmanager
def running(ip: str = "127.0.0.1") -> Iterator[KafkaServer]:
    """A started broker; killed and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lakebed-kafka-"))
    server = KafkaServer(folder, ip)
    try:
        server.format()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """One for a whole run; see `host`."""
    with running() as server:
        yield asdict(server.at)


@contextmanager
def found() -> Iterator[KafkaAddress]:
    """The one of the run, which nobody may stop; where there is none, one of one's own."""
    if absent := missing():
        unavailable(absent)
    there = host.ask("kafka")
    if there is not None:
        yield KafkaAddress(**there)
    else:
        with running() as server:
            yield server.at


def new_topic(name: str) -> str:
    """The name of a topic that no other test has."""
    return f"{name}-{secrets.token_hex(4)}"
