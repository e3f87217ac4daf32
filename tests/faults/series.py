"""Writes through chDB on a disk that fails meanwhile, and tells what became of it, in JSON.

python -m tests.faults.series HOME      (with `weather.so` preloaded)
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from lakebed.stores.series.clickhouse.embedded import EmbeddedSeries
from lakebed.vocabulary.errors import StoreUnavailable
from tests.contract.series.test_series import count, records
from tests.crash.surroundings import FAILING, FULL, NO_NAMES, NO_SYNC, WELL, turn_disk

OWNER = "owner"


def _attempt(work: Callable[[], Any]) -> str:
    try:
        work()
    except StoreUnavailable as error:
        return str(error)
    return "done"


def main(home: Path) -> None:
    weather = Path(os.environ["WEATHER"])
    series = EmbeddedSeries(home)
    series.migrate()
    direct = clickhouse_connect.get_client(dsn=f"chdb://{home.resolve()}")
    told: dict[str, Any] = {}

    def insert(first: int) -> str:
        rows = records(OWNER, range(first, first + 20))
        return _attempt(lambda: series.write("archive", rows))

    told["before"] = [insert(first) for first in range(0, 100, 20)]
    states = {
        "failing": FAILING,
        "again": FAILING,
        "full": FULL,
        "no sync": NO_SYNC,
        "no names": NO_NAMES,
    }
    for name, state in states.items():
        turn_disk(weather, state)
        told[name] = insert(100)
        turn_disk(weather, WELL)
        told[f"{name}, kept"] = count(series, "archive", OWNER)
    told["well"] = insert(100)
    turn_disk(weather, FAILING)
    with suppress(ClickHouseError):  # merged already, with the same end
        direct.command("OPTIMIZE TABLE lakebed.archive FINAL")
    turn_disk(weather, WELL)
    series.repair()
    told["merged"] = count(series, "archive", OWNER)
    # as earlier versions of Lakebed made it
    direct.command("ALTER TABLE lakebed.archive RESET SETTING old_parts_lifetime")
    series.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
