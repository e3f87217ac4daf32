"""`series.memory`: an engine within bounds. One engine to a process, so each test has its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakebed.stores.series.opening import open_series
from lakebed.stores.series.settings import SeriesSection
from lakebed.vocabulary.errors import SettingsError

PROGRAM = """
import json, re, sys, time
from pathlib import Path
import numpy as np
import pyarrow as pa
from lakebed.stores.series.opening import open_series
from lakebed.stores.series.settings import SeriesSection
from lakebed.vocabulary.errors import StoreUnavailable

def resident(name="VmRSS"):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

def rows(count, text, start=0):
    numbers = np.arange(count)
    def same(value):
        return pa.array([value] * count).dictionary_encode()
    return pa.table({
        "owner": same("ann"), "policy": same("raw"), "topic": same("t"),
        "time": pa.array(1_790_000_000_000_000 + start + numbers, pa.timestamp("us", "UTC")),
        "partition": pa.array(numbers * 0, pa.uint32()), "offset": pa.array(start + numbers),
        "type": pa.array(numbers * 0 + 2, pa.uint8()), "number": pa.array(numbers * 0.0),
        "text": pa.array([text] * count), "id": pa.array([""] * count),
        "size": pa.array(numbers * 0 + len(text), pa.uint32()),
    })

home, memory = sys.argv[1:]
settings = SeriesSection(memory=int(memory) if memory != "none" else None)
series = open_series("chdb:series", Path(home), settings=settings)

def ask(sql):
    return series.query(sql, {}).to_pylist()

"""


def run(home: Path, memory: str, work: str) -> dict[str, Any]:
    """What the work, in a process with such an engine, writes as its last line."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + work, str(home), memory],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


MIB = 2**20

FILLED = """
def patiently(work):
    for _ in range(100):  # as keepers and clients do it: merges may leave no room for a while
        try:
            return work()
        except StoreUnavailable as error:
            assert "memory limit exceeded" in str(error)
            time.sleep(0.2)
    raise TimeoutError("merges left no room for a minute")

for i in range(4):
    table = rows(16_000, "x" * 4000, i * 12_000)  # 64 MB each
    patiently(lambda: series.write("archive", table))
counted = "SELECT count() AS n, sum(length(text)) AS size FROM lakebed.archive FINAL"
whole = patiently(lambda: ask(counted))
print(json.dumps({"whole": whole, "peak": resident("VmHWM"), "health": series.health().detail}))
"""


@pytest.mark.slow(25)
def test_writes_that_would_take_most_of_the_memory_arrive_whole(tmp_path: Path) -> None:
    found = run(tmp_path, str(256 * MIB), FILLED)
    assert found["whole"] == [{"n": 52_000, "size": 4000 * 52_000}]  # they overlap
    assert 0 < found["health"]["memory"] < 256 * MIB
    assert 0 <= found["health"]["caches"] < 128 * MIB


TOO_MUCH = """
said = ""
try:
    ask("SELECT groupArray(number) FROM numbers(100000000)")
except StoreUnavailable as error:
    said = str(error)
after = ask("SELECT 1 AS one")
names = "('max_server_memory_usage', 'mark_cache_size')"
kept = ask(f"SELECT name, value FROM system.server_settings WHERE name IN {names} ORDER BY name")
print(json.dumps({"said": said, "after": after, "kept": kept}))
"""


@pytest.mark.slow(7)
def test_a_question_that_needs_more_is_refused_and_the_next_answered(tmp_path: Path) -> None:
    found = run(tmp_path, str(256 * MIB), TOO_MUCH)
    assert "memory limit exceeded" in found["said"]
    assert found["after"] == [{"one": 1}]
    assert found["kept"] == [
        {"name": "mark_cache_size", "value": str(32 * MIB)},
        {"name": "max_server_memory_usage", "value": str(256 * MIB)},
    ]


def test_a_server_has_a_setting_of_its_own(tmp_path: Path) -> None:
    settings = SeriesSection(memory=256 * MIB)
    with pytest.raises(SettingsError, match=r"series\.memory"):
        open_series("clickhouse://nowhere", tmp_path, settings=settings)
