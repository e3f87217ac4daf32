"""A PostgreSQL of our own: a fresh cluster in a temporary folder, reached by Unix socket only."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from tests.servers import host, unavailable
from tests.servers.attended import Attended

_PATIENCE = 60.0  # seconds; a loaded machine takes its time
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the tests kill our processes, not the machine
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "300",
    "timezone": "UTC",
}


class PostgresServer:
    """Of one that another process has started only the last four methods work."""

    def __init__(self, programs: Path, folder: Path, account: dict[str, Any]) -> None:
        self._programs = programs
        self.folder = folder
        self._account = account
        self._process: Attended | None = None

    def initialize(self) -> None:
        self._run(
            "initdb", "-D", self.folder / "data", "-U", "lakebed", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder]
        log = self.folder / "server.log"
        self._process = Attended([*command, *options], self.folder, log, self._account)
        self._wait(lambda: self._ask("pg_isready", "-q").returncode == 0)

    def _wait(self, true: Callable[[], bool]) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the PostgreSQL of the tests hangs: {self._process.said()}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the process that starts all others."""
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it and wait: SIGINT cleanly, SIGQUIT without caring for its files."""
        if self._process is not None:
            if not self._process.ended:
                os.kill(self._process.pid, how)
                self._wait(lambda: self._process is None or self._process.ended)
            self._process.kill()
            self._process = None

    def crash(self) -> None:
        """At once, as a machine that goes away: it recovers at its next start."""
        self.stop(signal.SIGQUIT)

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        """The server, and what it started for each connection in sessions of their own."""
        server = psutil.Process(self.pid)
        return [server, *server.children(recursive=True)]

    def create_schema(self) -> str:
        """Make an empty place of its own, quicker than a database, and return its URL."""
        name = f"catalog_{secrets.token_hex(4)}"
        self.sql(f"CREATE SCHEMA {name}")
        return f"{self._url('postgres')}&options={quote(f'-csearch_path={name}')}"

    def create_database(self, *options: str) -> str:
        """Make an empty database and return its URL."""
        name = f"catalog_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0 {' '.join(options)}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql://lakebed@/{database}?host={quote(str(self.folder))}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        answer = self._ask("psql", "-X", "-q", "-A", "-t", "-d", database, "-c", statement)
        answer.check_returncode()
        return answer.stdout.decode()

    def _ask(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        where = ("-h", str(self.folder), "-U", "lakebed")
        return subprocess.run(
            [self._programs / program, *where, *arguments], capture_output=True, check=False
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._account,
        )


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A started server; stopped and removed at the end."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="lakebed-postgres-", dir="/tmp"))
    account = unprivileged()
    if account:
        shutil.chown(folder, account["user"], account["group"])
    folder.chmod(0o755)
    server = PostgresServer(programs, folder, account)
    try:
        server.initialize()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged() -> dict[str, Any]:
    """For `subprocess`: PostgreSQL refuses to run as root."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """One for a whole run; see `host`."""
    with running() as server:
        yield {"folder": str(server.folder)}


@contextmanager
def found() -> Iterator[PostgresServer]:
    """The one of the run, which nobody may stop; where there is none, one of one's own."""
    programs = _programs()
    there = host.ask("postgres")
    if there is not None:
        yield PostgresServer(programs, Path(there["folder"]), {})
    else:
        with running() as server:
            yield server


def _programs() -> Path:
    """The folder with `postgres` and `initdb`; Debian keeps them out of the PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    return found[-1].parent if found else unavailable("PostgreSQL (Debian: postgresql)")
