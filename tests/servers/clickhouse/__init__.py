"""A ClickHouse server for tests: chDB behind HTTP, in a process and a folder of its own.

No ClickHouse server can be installed where the tests run; its engine can (the package chdb). What
`serve.py` puts around it is the server's HTTP interface. A cluster it can only be alone: there is
no ClickHouse Keeper and no other node.
"""

import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import processes
from tests.ports import free_port

_ROOT = Path(__file__).parents[3]
_START = 60.0  # seconds; a loaded machine takes its time


class ClickHouseServer:
    """Args:
        folder: of its data.
        cluster: whose only node it is.
        ip: where it listens.

    Attributes:
        address: HOST:PORT, the same after every start.
        url: for `series.url`.
    """

    def __init__(self, folder: Path, cluster: str | None = None, ip: str = "127.0.0.1") -> None:
        self._folder = folder
        self._log = folder / "server.log"
        self.address = f"{ip}:{free_port()}"
        self.url = f"clickhouse://{self.address}"
        self._cluster = [cluster] if cluster else []
        self._process: processes.Process | None = None

    def start(self) -> None:
        """Start and wait until it answers; what a folder holds is there again."""
        program = "tests.servers.clickhouse.serve"
        with self._log.open("ab") as log:
            self._process = processes.start(
                program,
                [self._folder, self.address, *self._cluster],
                stdin=subprocess.PIPE, stdout=log, stderr=log, folder=_ROOT,
            )  # fmt: skip
        deadline = time.monotonic() + _START
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"it did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """As by its operator: what it has accepted is answered first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a machine that goes away."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            with self._process:  # closes the pipe
                self._process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/ping", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def running(cluster: str | None = None, ip: str = "127.0.0.1") -> Iterator[ClickHouseServer]:
    """A started server; killed and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lakebed-clickhouse-"))
    server = ClickHouseServer(folder, cluster, ip)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
