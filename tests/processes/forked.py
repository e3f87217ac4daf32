"""A process that the fork server made; with the methods of `subprocess.Popen` that tests use."""

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

Output = int | IO[Any]
SPENT: list[float] = []
"""CPU seconds of each that has ended."""


class Forked:
    """Its connection to the fork server is its life: where it is closed, the process is killed.

    Args:
        server: path of the fork server's socket.
        stdin: subprocess.DEVNULL or PIPE.
        stdout, stderr: a file, or subprocess.PIPE.

    Attributes:
        returncode: None while it runs.
        stdin, stdout, stderr: to write text to and read it from, where they are pipes.
    """

    def __init__(
        self,
        server: str,
        module: str,
        arguments: Sequence[str],
        stdin: int,
        stdout: Output,
        stderr: Output,
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        request = {
            "module": module,
            "arguments": arguments,
            "environment": environment,
            "folder": str(folder),
        }
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(server)
        source, self.stdin = _source(stdin)
        (out, self.stdout), (err, self.stderr) = _sink(stdout), _sink(stderr)
        try:
            data = json.dumps(request).encode() + b"\n"
            sent = socket.send_fds(self._connection, [data], [source, out, err])
            if sent < len(data):  # a command that ends at once may have ended by now
                self._connection.sendall(data[sent:])
        finally:
            os.close(source)
            for given, file in ((stdout, out), (stderr, err)):
                if given == subprocess.PIPE:
                    os.close(file)
        self._answers = self._connection.makefile()
        self.pid: int = self._answer()["pid"]
        self.returncode: int | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name=f"watches {self.pid}", daemon=True).start()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the fork server has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _watch(self) -> None:
        with self._connection, self._answers:
            answer = self._answer()
        SPENT.append(answer["cpu"])
        self.returncode = answer["code"]
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Any thread.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it ended in this very moment
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it says on its pipes, once it has ended."""
        said = ["", ""]

        def read(number: int, pipe: IO[str]) -> None:
            said[number] = pipe.read()

        readers = [
            threading.Thread(target=read, args=(number, pipe), daemon=True)
            for number, pipe in enumerate((self.stdout, self.stderr))
            if pipe is not None and not pipe.closed
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return said[0], said[1]

    def __enter__(self) -> "Forked":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()
        self.wait()


def _source(given: int) -> tuple[int, IO[str] | None]:
    """The file that the process reads from, and what this one writes to."""
    if given != subprocess.PIPE:
        return os.open(os.devnull, os.O_RDONLY), None
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def _sink(output: Output) -> tuple[int, IO[str] | None]:
    """The file that the process writes to, and what this one reads from."""
    if output != subprocess.PIPE:
        return output if isinstance(output, int) else output.fileno(), None
    reading, writing = os.pipe()
    return writing, os.fdopen(reading)
