"""The units are what systemd understands, and let a process do no more than it must."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from typer.main import get_command

from lakebed.cli.main import app
from lakebed.runtime.settings import load
from tests.deploy.tools import DEPLOY, find, run

FOLDER = DEPLOY / "systemd"
STOP = 10  # seconds that a stop takes at most
ROLES = ("gateway", "keeper", "api")
UNITS = [
    "lakebed.service",
    "lakebed-backup.service",
    *(f"lakebed@{role}.service" for role in ROLES),
]


def written(unit: str, folder: Path) -> Path:
    """The unit as it will be installed, with a program that there is."""
    template = re.sub(r"@\w+\.", "@.", unit)
    text = (FOLDER / template).read_text().replace("/opt/lakebed/bin/lakebed", "/bin/true")
    (folder / unit).write_text(text)
    return folder / unit


def value(text: str, key: str) -> str:
    found = re.search(rf"^{key}=(.*)$", text, re.MULTILINE)
    assert found is not None, key
    return found[1]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_the_unit(unit: str, tmp_path: Path) -> None:
    systemd = find("systemd-analyze", "systemd")
    command = [systemd, "verify", "--man=no", "--recursive-errors=no", written(unit, tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unit not in done.stderr  # a key it does not know it only mentions


@pytest.mark.parametrize("unit", UNITS)
def test_the_process_may_do_little(unit: str, tmp_path: Path) -> None:
    systemd = find("systemd-analyze", "systemd")
    # of 10; an ordinary service has 9.6
    run(systemd, "security", "--offline=true", "--threshold=20", written(unit, tmp_path))


@pytest.mark.parametrize("unit", ["lakebed.service", "lakebed@.service"])
def test_it_is_given_the_time_to_stop(unit: str) -> None:
    text = (FOLDER / unit).read_text()
    assert STOP < int(value(text, "TimeoutStopSec")) <= 2 * STOP
    assert value(text, "Restart") == "on-failure"


@pytest.mark.parametrize("unit", ["lakebed.service", "lakebed@.service", "lakebed-backup.service"])
def test_the_command_of_the_unit_exists(unit: str) -> None:
    _, command, *options = shlex.split(value((FOLDER / unit).read_text(), "ExecStart"))
    result = CliRunner().invoke(get_command(app), [command, "--help"])
    assert result.exit_code == 0, result.output
    assert all(option in result.output for option in options if option.startswith("--"))


def test_systemd_understands_the_timer(tmp_path: Path) -> None:
    systemd = find("systemd-analyze", "systemd")
    written("lakebed-backup.service", tmp_path)
    timer = written("lakebed-backup.timer", tmp_path)
    done = subprocess.run(
        [systemd, "verify", "--man=no", timer],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert timer.name not in done.stderr
    run(systemd, "calendar", value(timer.read_text(), "OnCalendar"))


def test_server_and_backup_may_write_to_the_same_folders_as_the_same_user() -> None:
    server, backup = (
        (FOLDER / f"{name}.service").read_text() for name in ("lakebed", "lakebed-backup")
    )
    for key in ("DynamicUser", "User", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert value(server, key) == value(backup, key)
    assert "/var/lib/lakebed-backups" in backup


def test_the_example_of_settings_is_right() -> None:
    settings = load(FOLDER / "lakebed.toml", environment={})
    assert settings.journal.url.startswith("kafka://")
    assert settings.series.url.startswith("clickhouse://")
    assert settings.catalog.url.startswith("postgresql://")
