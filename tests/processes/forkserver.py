"""A process that has imported what the command imports, and forks for each command.

    python -m tests.processes.forkserver SOCKET      (ends when its stdin does)

    a connection ──{"module", "arguments", "environment", "folder"}, stdin, stdout, stderr──> fork
                 <──{"pid"}── at once
                 <──{"code", "cpu"}── when the command has ended
                 closed by the client ──> the command is killed: none outlives who asked for it

A child is what `python -m MODULE ARGUMENTS` is once its imports are done. Only chDB's engine, whose
threads no fork would have, is started by each child for itself.
"""

import atexit
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import chdir, suppress
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from unittest.mock import Mock, patch

import lakebed
from tests import migrated

_LIBRARIES = (
    "alembic.command", "alembic.config", "alembic.runtime.migration", "clickhouse_connect",
    "clickhouse_connect.driver.httpclient", "encodings.idna", "h11", "httpcore",
    "logging.config", "plotext", "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite", "uvloop",
)  # fmt: skip
"""What Lakebed imports only when it needs it."""
_NOT = ("lakebed.cli.main", "lakebed.catalog.migrations", "lakebed.stores.catalog.migrations")
_MESSAGE = 1 << 20  # bytes of a request


def preload() -> None:
    """Import all of Lakebed and what it imports, but for what is run as a program."""
    for found in pkgutil.walk_packages(lakebed.__path__, "lakebed."):
        if not found.name.startswith(_NOT):
            importlib.import_module(found.name)
    for name in _LIBRARIES:
        importlib.import_module(name)
    if "chdb" in sys.modules:
        raise AssertionError("chDB has been imported: its threads do not survive a fork")
    _preload_chdb()
    migrated.preload()
    gc.collect()
    gc.freeze()


def _preload_chdb() -> None:
    """Import chDB without the engine that it starts while it is imported, to ask its version."""
    found = find_spec("chdb")
    assert found is not None
    assert found.submodule_search_locations is not None
    [folder] = found.submodule_search_locations
    package = sys.modules["chdb"] = ModuleType("chdb")
    package.__path__ = [folder]
    with chdir(folder):  # as chDB does, with this mode
        ctypes.CDLL(f"{folder}/_chdb.abi3.so", sys.getdlopenflags() | os.RTLD_DEEPBIND)
        library = importlib.import_module("chdb._chdb")
    del sys.modules["chdb"]
    with patch.object(library, "connect", Mock()):
        importlib.import_module("chdb")


class Server:
    """One thread, no state but its children.

    Args:
        path: of the socket it listens on.
    """

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{path}.new")
        self._listening.listen(100)
        os.rename(f"{path}.new", path)  # whoever sees it can connect
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._end)
        self._children: dict[int, tuple[socket.socket, int]] = {}

    def serve(self) -> dict[str, Any]:
        """Serve for ever; returns only in a child, with the request that it is to carry out."""
        while True:
            for key, _ in self._selector.select():
                request: dict[str, Any] | None = key.data(key.fileobj)
                if request is not None:
                    return request

    def _accept(self, listening: socket.socket) -> dict[str, Any] | None:
        connection, _ = listening.accept()
        data, files, _, _ = socket.recv_fds(connection, _MESSAGE, 3)
        while not data.endswith(b"\n"):
            data += connection.recv(_MESSAGE)
        request: dict[str, Any] = json.loads(data)
        child = os.fork()
        if not child:
            self._become(files)
            return request
        for file in files:
            os.close(file)
        self._children[child] = connection, os.pidfd_open(child)
        self._selector.register(self._children[child][1], selectors.EVENT_READ, self._ended)
        self._selector.register(connection, selectors.EVENT_READ, self._left)
        _send(connection, pid=child)
        return None

    def _become(self, files: list[int]) -> None:
        """In a child: nothing of the server stays open."""
        self._selector.close()
        self._listening.close()
        for connection, handle in self._children.values():
            connection.close()
            os.close(handle)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, 256)

    def _ended(self, handle: int) -> None:
        child = next(pid for pid, (_, pidfd) in self._children.items() if pidfd == handle)
        connection, _ = self._children.pop(child)
        _, status, usage = os.wait4(child, 0)
        self._selector.unregister(handle)
        os.close(handle)
        if connection in self._selector.get_map():
            self._selector.unregister(connection)
        code, cpu = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        _send(connection, code=code, cpu=cpu)
        connection.close()

    def _left(self, connection: socket.socket) -> None:
        child = next(pid for pid, (other, _) in self._children.items() if other is connection)
        os.kill(child, signal.SIGKILL)
        self._selector.unregister(connection)

    def _end(self, _: object) -> None:
        for child in self._children:
            os.kill(child, signal.SIGKILL)
        os._exit(0)


def _send(connection: socket.socket, **message: float) -> None:
    with suppress(OSError):  # whoever asked has gone
        connection.sendall(json.dumps(message).encode() + b"\n")


def run(request: dict[str, Any]) -> None:
    """Be `python -m MODULE ARGUMENTS`."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    if "LD_PRELOAD" in os.environ:
        ctypes.CDLL(None).preloaded_begin()
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    faulthandler.register(signal.SIGPWR, all_threads=True)
    sys.argv = ["", *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def leave(error: SystemExit | None) -> None:
    """End as the interpreter does, except that it does not take itself to pieces.

    That would copy most of the memory that this process shares with the fork server.
    """
    code = error.code if error is not None else 0
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    wanted = Server(sys.argv[1]).serve()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = None
    try:
        run(wanted)
    except SystemExit as error:
        ended = error
    leave(ended)
