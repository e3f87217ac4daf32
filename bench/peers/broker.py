"""A Mosquitto that holds back nobody: no limit to what waits for a receiver or is on its way."""

import subprocess
import time
from pathlib import Path

from tests.ports import free_port

_START = 10.0  # seconds
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_inflight_bytes 0
max_queued_messages 0
max_queued_bytes 0
log_type error
log_type subscribe
log_dest stderr
"""


class Broker:
    """In a process of its own, with `folder` for its configuration and log."""

    def __init__(self, folder: Path, program: str = "mosquitto") -> None:
        self.port = free_port()
        self._log = folder / "mosquitto.log"
        config = folder / "mosquitto.conf"
        config.write_text(_CONFIG.format(port=self.port))
        self._command = [program, "-c", str(config)]

    def __enter__(self) -> "Broker":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def wait_for_subscription(self, topics: str, seconds: float = 60.0) -> None:
        """Until somebody has subscribed to `topics`.

        Raises:
            TimeoutError: nobody has.
        """
        until = time.monotonic() + seconds
        while f" {topics}\n" not in self._log.read_text():
            if time.monotonic() > until:
                raise TimeoutError(f"nobody subscribed to {topics}: {self._log.read_text()}")
            time.sleep(0.05)
