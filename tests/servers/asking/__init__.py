"""A broker of another make that asks by HTTP who its clients are, as EMQX 5.8 does.

    main.go ──go build──> a program ──> MQTT, and a REST interface that ends connections

It is Mochi MQTT with a hook.
"""

import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.servers.go import build

_START = 20.0  # seconds


def program() -> Path:
    """The broker, built once per state of its sources."""
    return build(Path(__file__).parent)


class AskingBroker:
    """A broker on free ports of the loopback, from `start` on.

    Attributes:
        port: of MQTT.
        rest: URL of its REST interface.
    """

    def __init__(self) -> None:
        self.port, rest = free_port(), free_port()
        self.rest = f"http://127.0.0.1:{rest}"
        self._command = [
            str(program()), "-listen", f"127.0.0.1:{self.port}", "-rest", f"127.0.0.1:{rest}",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, lake: str, secret: str) -> None:
        """Start it: it asks the instance at this URL, with this secret."""
        self._process = subprocess.Popen([*self._command, "-lake", lake, "-secret", secret])
        until = time.monotonic() + _START
        while time.monotonic() < until:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("the broker did not start")

    def __enter__(self) -> "AskingBroker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
