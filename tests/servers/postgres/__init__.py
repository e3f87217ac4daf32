"""A PostgreSQL of our own: a fresh cluster in a temporary folder, reached by Unix socket only."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

_NUMBERS = itertools.count()
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the tests kill our processes, not the machine
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "timezone": "UTC",
}


class PostgresServer:
    def __init__(self, programs: Path, folder: Path, account: dict[str, Any]) -> None:
        self._programs = programs
        self.folder = folder
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def initialize(self) -> None:
        self._run(
            "initdb", "-D", self.folder / "data", "-U", "lakebed", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **self._account,
        )
        deadline = time.monotonic() + 30
        while self._ask("pg_isready", "-q").returncode:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the PostgreSQL of the tests did not start")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Of the process that starts all others."""
        assert self._process is not None
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it and wait: SIGINT cleanly, SIGQUIT without caring for its files."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def crash(self) -> None:
        """At once, as a machine that goes away: it recovers at its next start."""
        self.stop(signal.SIGQUIT)

    def create_schema(self) -> str:
        """Make an empty place of its own, quicker than a database, and return its URL."""
        name = f"catalog_{next(_NUMBERS)}"
        self.sql(f"CREATE SCHEMA {name}")
        return f"{self._url('postgres')}&options={quote(f'-csearch_path={name}')}"

    def create_database(self, *options: str) -> str:
        """Make an empty database and return its URL."""
        name = f"catalog_{next(_NUMBERS)}"
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
def running(programs: Path) -> Iterator[PostgresServer]:
    """A started server; stopped and removed at the end."""
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


def find_programs() -> Path | None:
    """The folder with `postgres` and `initdb`; Debian keeps them out of the PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    return found[-1].parent if found else None
