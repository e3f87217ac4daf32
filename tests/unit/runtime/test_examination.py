"""A running process examines its disks and settings now and then."""

from pathlib import Path

from lakebed.runtime.checks.examination import FRESH, Examination
from lakebed.runtime.settings import Settings


def test_what_was_found_is_used_for_a_while(tmp_path: Path) -> None:
    at = [0.0]
    settings = Settings.model_validate({"home": tmp_path, "journal": {"url": "memory:"}})
    examination = Examination(settings, lambda: at[0])
    found = examination.findings()
    assert [one.text for one in found if one.state == "bad"] == [
        "journal.url: memory: forgets what was acknowledged"
    ]
    assert {"disk", "fsync", "space", "settings"} <= {one.part for one in found}
    at[0] = FRESH - 1
    assert examination.findings() is found
    at[0] = FRESH
    assert examination.findings() is not found


def test_a_disk_that_fails_is_a_finding(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("no folder")
    found = Examination(Settings(home=home / "below")).findings()
    assert found
