"""`lakebed apply` of a long file: all of it is written, or nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(25), pytest.mark.timeout(300)]

COUNT = 5_000
TEXT = "".join(
    f"- {{name: p{number}, topics: ['plant/{number}/+'], type: number, keep: last_value}}\n"
    for number in range(COUNT)
)


def test_apply_of_a_server_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    file, home = tmp_path / "policies.yaml", tmp_path / "home"
    file.write_text(TEXT)
    with Server(home) as server:
        journal = home / "catalog.db-wal"
        before = journal.stat().st_size
        apply = subprocess.Popen(
            [sys.executable, "-m", "lakebed.cli.main", "apply", "-f", file,
             "--url", server.url, "--home", home],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        # pages that SQLite's cache does not hold go to its journal before the commit
        eventually(lambda: journal.stat().st_size > before + 2**20, seconds=60)
        server.kill()
        _, said = apply.communicate(timeout=60)
        server.start()
        found = len(server.get("/api/v1/policies")["policies"])
        assert found in (0, COUNT), said
        again = subprocess.run(
            [sys.executable, "-m", "lakebed.cli.main", "apply", "-f", file,
             "--url", server.url, "--home", home],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        expected = "created" if found == 0 else "unchanged"
        assert again.stdout == "".join(f"p{number}: {expected}\n" for number in range(COUNT))
        server.send("plant/4999/x", "21.5")
        server.settle(lambda flow: flow["kept"] == 1)
