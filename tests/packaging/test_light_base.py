"""`pip install lakebed` gives what an edge needs and nothing heavy; the rest says how to get it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "bin" / "uv"
EDGE, COMMANDS = (Path(__file__).with_name(name) for name in ("edge.py", "commands.py"))
LARGEST = 155  # MB of packages; numpy is half of it, the whole of Lakebed 6

BASE = {
    "annotated-doc", "annotated-types", "anyio", "certifi", "h11", "httpcore", "httptools",
    "httpx", "idna", "lakebed", "markdown-it-py", "mdurl", "msgspec", "numpy", "prometheus-client",
    "psutil", "pydantic", "pydantic-core", "pygments", "pyyaml", "rich", "shellingham", "structlog",
    "typer", "typing-extensions", "typing-inspection", "tzdata", "uvloop", "zstandard",
}  # fmt: skip
"""All that the base is made of. What is not needed at an edge belongs to an extra."""

_WITHOUT = {
    **{key: os.environ[key] for key in ("PATH", "HOME", "UV_CACHE_DIR") if key in os.environ},
    "UV_LINK_MODE": "hardlink",
}

pytestmark = pytest.mark.timeout(400)


class Bare:
    """An environment into which one wheel was installed, and what it asks for."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder, self.wheel = folder, wheel
        self.home = folder / "home"
        self._uv("venv", "--quiet", "--python", sys.executable, folder / "env")
        # the versions of the lock, from the cache where they are there
        install = (
            "pip", "install", "--quiet", "--python", folder / "env",
            "--constraint", _constraints(folder), wheel,
        )  # fmt: skip
        if self._uv(*install, "--offline", check=False).returncode:
            self._uv(*install)

    def _uv(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        index = {k: v for k, v in os.environ.items() if k.startswith(("UV_", "PIP_", "SSL_"))}
        return subprocess.run(
            [UV, *map(str, arguments)], check=check, capture_output=True, text=True,
            env={**index, **_WITHOUT},
        )  # fmt: skip

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Without this checkout on any path."""
        program, *arguments = map(str, command)
        return subprocess.run(
            [self.folder / "env" / "bin" / program, *arguments], capture_output=True, text=True,
            cwd=self.folder, env={**_WITHOUT, "LAKEBED__HOME": str(self.home)},
        )  # fmt: skip

    def packages(self) -> set[str]:
        listed = self._uv("pip", "freeze", "--python", self.folder / "env").stdout
        return {re.split(r"==| @ ", line)[0] for line in listed.split("\n") if line}

    def megabytes(self) -> float:
        (site,) = self.folder.glob("env/lib/python*/site-packages")
        files = {(s.st_ino, s.st_size) for p in site.rglob("*") if (s := p.lstat()) and p.is_file()}
        return sum(size for _, size in files) / 2**20


def _constraints(folder: Path) -> Path:
    """The lock without hashes: uv wants them for all or for none, and the wheel has none."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    file = folder / "constraints.txt"
    file.write_text("\n".join(line.removesuffix("\\") for line in lines if re.match(r"\w", line)))
    return file


def build(into: Path, **environment: str) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, **environment}
    )
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    folder = tmp_path_factory.mktemp("bare")
    return Bare(folder, build(folder / "wheel"))


@pytest.mark.slow(30)
def test_it_holds_nothing_heavy(bare: Bare) -> None:
    assert bare.packages() == BASE
    print(f"{bare.megabytes():.0f} MB")
    assert bare.megabytes() < LARGEST


@pytest.mark.slow(5)
def test_a_device_s_messages_are_taken_kept_and_read_back(bare: Bare) -> None:
    done = bare.run("python", EDGE, bare.folder / "edge")
    assert done.returncode == 0, done.stderr
    assert "100 messages read back" in done.stdout
    assert done.stdout.strip().endswith(".so"), "the wheel holds the compiled module"
    assert "not compiled" not in done.stdout + done.stderr


@pytest.mark.slow(25)
def test_a_wheel_from_a_machine_without_compiler_does_the_same_and_says_so(tmp_path: Path) -> None:
    wheel = build(tmp_path / "wheel", CC="false", CXX="false")
    assert wheel.name.endswith("-py3-none-any.whl")
    pure = Bare(tmp_path, wheel)
    done = pure.run("python", EDGE, tmp_path / "edge")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("plain.py")
    (line,) = [line for line in done.stdout.splitlines() if "not compiled" in line]
    assert "slower" in line


def test_help_and_version_need_nothing_more(bare: Bare) -> None:
    assert "up" in bare.run("lakebed", "--help").stdout
    assert bare.run("lakebed", "--version").stdout.startswith("lakebed ")


@pytest.mark.slow(2)
@pytest.mark.parametrize(
    "command",
    ["up", "serve --role gateway", "demo", "check -f policies.yaml", "restore /nowhere --home x"],
)
def test_what_needs_more_says_what_to_install(bare: Bare, command: str) -> None:
    (bare.folder / "policies.yaml").write_text("name: a\n")
    done = bare.run("lakebed", *command.split())
    assert done.returncode == 3, done.stderr
    assert re.fullmatch(r"lakebed: .+: install lakebed\[server\]\n", done.stderr)
    assert not bare.home.exists()


@pytest.mark.slow(2)
def test_commands_that_ask_a_server_work(bare: Bare) -> None:
    asking = (
        "last plant/1", "query plant/1", "send plant/1 5", "topics", "flow", "usage", "policies",
        "tap plant/#", "token list", "journal show", "dead-letters list", "forget plant/1 --yes",
    )  # fmt: skip
    where = f"--url http://127.0.0.1:9 --token {'x' * 32}"  # nobody answers there
    done = bare.run("python", COMMANDS, *(f"{command} {where}" for command in asking))
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert len(ended) == len(asking)
    assert set(ended.values()) == {4}, (ended, done.stderr)
