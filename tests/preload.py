"""Libraries that stand between a process and libc, made by the C compiler when tests need them."""

import subprocess
from pathlib import Path


def build(source: Path, folder: Path) -> Path:
    """Compile a library for LD_PRELOAD; returns where it is."""
    library = folder / source.with_suffix(".so").name
    command = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    return library
