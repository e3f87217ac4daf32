"""Many processes over Kafka, PostgreSQL and ClickHouse, each of which is killed or hangs."""

from pathlib import Path

import pytest

from tests.cluster import victims
from tests.crash.fleet import Fleet
from tests.crash.oracle import times

FAULTS = times(40, 1000)

pytestmark = [
    pytest.mark.slow(130),
    pytest.mark.timeout(1200 + 10 * FAULTS),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]


def test_no_answer_changes_whoever_dies_or_hangs_or_joins(tmp_path: Path) -> None:
    with victims() as on, Fleet(tmp_path, on) as fleet:
        fleet.send()
        fleet.edit()
        fleet.rage(on, FAULTS)
        fleet.finish()
        fleet.check_fresh()
        fleet.check()
