"""Programs of Lakebed as processes: `python -m MODULE ARGUMENTS`, started or forked.

    start(module, …)  ──> subprocess.Popen           `fork=False`, or no fork server
                      └─> Forked, by a fork server    otherwise: it has done the imports before

A fork server has no library preloaded, unless its path is in FORK_SERVER of the environment.

Both have the methods that the tests use. Tests of the start itself, of what a process loads, and
of the operating system's part say `fork=False`.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.processes.forked import Forked
from tests.servers import host

COMMAND = "lakebed.cli.main"
FORK_SERVER = "FORK_SERVER"
TELL = signal.SIGPWR  # a forked program writes then what each of its threads does
_ANY_PORTS = {"LAKEBED__HTTP__LISTEN": "127.0.0.1:0", "LAKEBED__MQTT__LISTEN": "127.0.0.1:0"}
"""A command that serves although it should not must meet no server of somebody else."""
Process = subprocess.Popen[str] | Forked


def start(
    module: str,
    arguments: Sequence[str | Path],
    *,
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    stdin: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    fork: bool = True,
) -> Process:
    """Start a program and do not wait for it.

    Args:
        stdout, stderr: a file, or subprocess.PIPE for text.
        stdin: subprocess.DEVNULL or PIPE.
        environment: all of it; None is that of this process.
        folder: where it runs; None is that of this process.
        fork: whether the fork server may do it.
    """
    environment = os.environ if environment is None else environment
    words = [str(word) for word in arguments]
    server = _fork_server(environment) if fork and sys.platform == "linux" else None
    if server is not None:
        return Forked(
            server,
            module,
            words,
            stdin,
            stdout,
            stderr,
            dict(environment),
            folder or Path.cwd(),
        )
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd=folder,
        text=True,
    )  # fmt: skip


def _fork_server(environment: Mapping[str, str]) -> str | None:
    """The path of its socket."""
    if "LD_PRELOAD" in environment:
        return environment.get(FORK_SERVER)
    server = host.ask("forkserver")
    return server and server["path"]


def preloaded(name: str) -> dict[str, str]:
    """The environment of processes that have a library preloaded: `weather` or `recorder`."""
    server = host.ask(name)
    assert server is not None, "libraries are preloaded in a run of the tests"
    return {"LD_PRELOAD": server["library"], FORK_SERVER: server["path"]}


def run(
    module: str,
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    fork: bool = True,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it says is text."""
    process = start(
        module, arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        environment=environment, folder=folder, fork=fork,
    )  # fmt: skip
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess([module, *arguments], process.wait(), out, err)


def lakebed(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    fork: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command.

    Args:
        environment: over `clean()`, and ports that the system chooses.
        folder: where it runs; None is an empty one, which is removed afterwards.
    """
    environment = clean() | _ANY_PORTS | dict(environment or {})
    if folder is not None:
        return run(COMMAND, arguments, environment=environment, folder=folder, fork=fork)
    with tempfile.TemporaryDirectory(prefix="lakebed-command-") as empty:
        return run(COMMAND, arguments, environment=environment, folder=Path(empty), fork=fork)


def command(folder: Path) -> Path:
    """A folder for the PATH of a shell, in which `lakebed` is forked; that of the real one where
    there is no fork server."""
    server = host.ask("forkserver") if sys.platform == "linux" else None
    if server is None:
        return Path(sys.executable).parent
    shim = Path(__file__).with_name("shim.py")
    words = (sys.executable, "-ES", str(shim), server["path"], COMMAND)
    folder.mkdir()
    (folder / "lakebed").write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    (folder / "lakebed").chmod(0o755)
    return folder


def clean() -> dict[str, str]:
    """The environment without what leads to a Lakebed of somebody, or changes its settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LAKEBED__")
        and name not in ("LAKEBED_URL", "LAKEBED_TOKEN", "LAKEBED_SECRETS_KEY")
    }
