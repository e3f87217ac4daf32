"""Programs that validate what lies in deploy/."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def find(name: str, package: str) -> str:
    """The program; where it is missing the test is skipped at a desk and fails in CI."""
    path = shutil.which(name)
    if path is None:
        text = f"{name} is missing (Debian: {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return path


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Its output; fails with all it said where it fails."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
