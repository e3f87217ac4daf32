"""The image holds what the lock says, and what its build reads is there.

No image is built here: `test_containers.py` does, and runs it.
"""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from lakebed.runtime.settings import load
from tests.deploy.tools import DEPLOY

ROOT = DEPLOY.parent
FOLDER = DEPLOY / "image"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
_PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)(.*?) \\$", re.MULTILINE)


def pins(file: Path) -> dict[tuple[str, str], str]:
    """Packages with their version, each with the condition it is installed under."""
    return {(name, version): rest for name, version, rest in _PIN.findall(file.read_text())}


def normal(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("name", ["all", "servers"])
def test_the_image_has_the_versions_of_the_lock(name: str) -> None:
    locked = set(pins(ROOT / "requirements.lock"))
    listed = set(pins(FOLDER / f"{name}.txt"))
    assert len(listed) > 40
    assert listed <= locked


def test_the_image_has_everything_that_the_project_and_its_servers_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(r for extra in extras.values() for r in extra)]
    wanted = {normal(r) for r in needed} - {"lakebed"}  # an extra that names another
    listed = {name for name, _ in pins(FOLDER / "all.txt")}
    assert wanted <= listed
    assert wanted - {"chdb"} <= {name for name, _ in pins(FOLDER / "servers.txt")}


def test_without_chdb_nothing_is_left_out_but_what_only_chdb_needs() -> None:
    all_of_them, servers = set(pins(FOLDER / "all.txt")), set(pins(FOLDER / "servers.txt"))
    assert servers < all_of_them
    gone = {name for name, _ in all_of_them - servers}
    assert gone == {"chdb", "chdb-core", "pandas", "python-dateutil"}


def test_every_package_is_checked_by_its_hash() -> None:
    for name in ("all", "servers", "compilers", "uv"):
        text = (FOLDER / f"{name}.txt").read_text()
        blocks = re.split(r"\n(?=[a-z])", text.strip())
        assert all("--hash=sha256:" in block for block in blocks), name
        assert "://" not in text, "a list names no index"


def test_what_the_build_reads_is_let_in() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / path).exists() for path in let_in)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {
        project["readme"],
        "LICENSE",
        "pyproject.toml",
        "src",
        "tools/compile",
        "tools/web",
        "tools/wheel.py",
        "tools/words.py",
        "web",
    } <= let_in
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert {path for path in copied if path != "."} <= let_in


def environment() -> dict[str, str]:
    """What the last stage sets."""
    last = DOCKERFILE.split("\nFROM ")[-1]
    (block,) = re.findall(r"^ENV (.*?)\n(?=[A-Z])", last, re.MULTILINE | re.DOTALL)
    return dict(pair.split("=", 1) for pair in shlex.split(block.replace("\\\n", " ")))


def test_the_image_listens_to_everybody_and_keeps_its_home_in_the_volume() -> None:
    settings = load(environment=environment())
    assert settings.http.listen == "0.0.0.0:8080"
    assert settings.mqtt.listen == "0.0.0.0:1883"
    assert f"VOLUME {settings.home}\n" in DOCKERFILE
    assert "EXPOSE 8080 1883\n" in DOCKERFILE


def test_the_image_runs_as_nobody_in_particular() -> None:
    stages = DOCKERFILE.split("\nFROM ")
    assert "\nUSER 65532:65532\n" in stages[-1]
    manifests = (DEPLOY / "kubernetes" / "lakebed.yaml").read_text()
    assert "runAsUser: 65532" in manifests


def test_the_health_check_is_a_program_that_asks_whether_it_is_alive() -> None:
    found = re.search(r'CMD \["python", "-c", "(.+)"\]', DOCKERFILE)
    assert found is not None
    compile(found[1], "HEALTHCHECK", "exec")
    assert "/healthz" in found[1]
