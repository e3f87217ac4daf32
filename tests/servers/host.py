"""What a whole run of the tests has one of: fork servers, a Kafka, a PostgreSQL, an instance.

    the process that all others come from: Host ── a thread for each question ──> starts it once
        ^  a Unix socket, whose path is in the environment
    a worker: ask("kafka") ──> {"address": …}

Each is started when a test asks for it first, and ends with the run, however that ends. Tests share
it: each makes a topic or a schema of its own, and none may stop it.
"""

import importlib
import json
import os
import shutil
import socket
import tempfile
import threading
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

_VARIABLE = "TESTS_HOST"
_SHARED = {
    "forkserver": "tests.processes.serving",
    "kafka": "tests.servers.kafka",
    "postgres": "tests.servers.postgres",
    "recorder": "tests.crash.power",
    "weather": "tests.crash.surroundings",
    "web": "tests.web.browser.instance",
}
"""Modules whose `shared()` is a context that has the server and yields what clients must know."""


class Host:
    """Use as a context: inside, `ask` works in this process and in all that it starts."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="lakebed-tests-"))
        self._locks = {name: threading.Lock() for name in _SHARED}
        self._answers: dict[str, dict[str, Any]] = {}
        self._stack = ExitStack()
        self._listening = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "Host":
        path = str(self._folder / "host")
        self._listening.bind(path)
        self._listening.listen(100)
        threading.Thread(target=self._serve, name="host of servers", daemon=True).start()
        os.environ[_VARIABLE] = path
        return self

    def __exit__(self, *error: object) -> None:
        del os.environ[_VARIABLE]
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as stream:
            name = stream.readline().strip()
            with self._locks[name]:
                if name not in self._answers:
                    self._answers[name] = self._start(name)
            json.dump(self._answers[name], stream)

    def _start(self, name: str) -> dict[str, Any]:
        """One that did not start is not tried again: each test that needs it says why."""
        try:
            opened: AbstractContextManager[dict[str, Any]] = importlib.import_module(
                _SHARED[name]
            ).shared()
            return self._stack.enter_context(opened)
        except Exception as error:
            return {"error": f"{name}: {error}"}


def folder() -> Path:
    """Of the run, for what its processes tell each other."""
    return Path(os.environ[_VARIABLE]).parent


def ask(name: str) -> dict[str, Any] | None:
    """What a client of a shared server must know; None where nothing is shared.

    Raises:
        RuntimeError: it did not start.
    """
    path = os.environ.get(_VARIABLE)
    if path is None:
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw") as stream:
            stream.write(f"{name}\n")
            stream.flush()
            answer: dict[str, Any] = json.load(stream)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer
