"""What a server and its backups write is readable for nobody else."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_backup import POLICIES, lakebed, lines
from tests.server import Server

pytestmark = [pytest.mark.slow(10), pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _open_to_others(folder: Path) -> list[str]:
    found = [folder, *folder.rglob("*")]
    return [f"{stat.filemode(path.stat().st_mode)} {path}" for path in found
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]  # fmt: skip


def test_a_home_and_its_backups_are_private_whatever_the_umask(tmp_path: Path) -> None:
    home, backups = tmp_path / "home", tmp_path / "backups"
    server = Server(home)
    server.fork = False  # inherits this umask
    (home / "series").mkdir(parents=True)  # as an earlier version left it
    (home / "journal.db.before").touch()
    assert len(_open_to_others(home)) == 3
    with server:
        server.put_policies(POLICIES)
        server.send_batch(lines("plant/1", 0, 100))
        server.settle(lambda flow: flow["kept"] == 100)
        lakebed("backup", str(backups), "--home", str(home))
        assert _open_to_others(home) == _open_to_others(backups) == []
    lakebed("backup", str(tmp_path / "offline"), "--home", str(home))
    lakebed("restore", str(backups), "--home", str(tmp_path / "restored"))
    for folder in (home, tmp_path / "offline", tmp_path / "restored"):
        assert _open_to_others(folder) == []
