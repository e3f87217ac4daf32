"""The embedded series store on a disk that fails: what it says is stored is there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakebed.stores.series.clickhouse import schema
from lakebed.stores.series.clickhouse.embedded import EmbeddedSeries
from tests.contract.series.test_series import count
from tests.crash.surroundings import weather
from tests.faults.series import OWNER

pytestmark = [
    pytest.mark.slow(10),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]


def test_what_did_not_reach_the_disk_is_refused_and_merges_lose_nothing(tmp_path: Path) -> None:
    home = tmp_path / "series"
    home.mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.series", home],
        env=os.environ | weather(tmp_path, home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["before"] == ["done"] * 5
    for state in ("failing", "again"):  # the second part has the name of the first
        assert "not all that was written to archive reached the disk" in told[state]
    assert "0 MiB are free on its disk, it needs 64 MiB to write" in told["full"]
    assert told["failing, kept"] == told["again, kept"] == told["full, kept"] == 100
    assert told["full, kept"] == told["no sync, kept"] == 100
    assert "Cannot fsync" in told["no sync"]
    assert "Input/output error" in told["no names"]
    assert told["no names, kept"] == 120, "they are there, but might not outlive the power"
    assert told["well"] == "done"
    assert told["merged"] == 120
    assert "parts did not reach the disk" in run.stdout + run.stderr

    series = EmbeddedSeries(home)
    series.migrate()
    assert not series.missing().broken
    (made,) = series.query("SHOW CREATE TABLE lakebed.archive", {})["statement"].to_pylist()
    assert all(setting in made for setting in schema.EMBEDDED)
    assert count(series, "archive", OWNER) == 120
    series.close()
