"""The real command over a series store that fails: `python -m tests.crash.faulty up …`.

The store is the real one; what is made up is what its callers hear of it. Before each insert a
fault is drawn, as FAULTS in the environment says:

* refused: nothing was written;
* ambiguous: it was written, and the answer is lost;
* slow: it answers after a while, and meanwhile callers see nothing;
* hang: the same for longer than anybody is patient.

While the file AWAY exists it refuses everything. Each fault is a line in the file `faults`. Faults
are dealt like cards, over all processes of a home, so that each kind comes as often as it is in
ROUND.
"""

import os
import random
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from lakebed.cli.main import main
from lakebed.ports.erasure import Erasure
from lakebed.ports.events import CountQuestion, Counts, EventPage, EventQuestion
from lakebed.ports.health import Health
from lakebed.ports.question import Page, Question
from lakebed.ports.series import Contents, Missing, Series, SeriesSnapshot, Usage
from lakebed.stores import opening
from lakebed.stores.opening import StoreSettings
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import Micros

LOG, AWAY = "faults", "away"


class Faulty:
    """Implements `ports.series.Series`."""

    def __init__(self, series: Series, home: Path, seed: str) -> None:
        self._series, self._home, self._seed = series, home, seed
        self._rate = float(os.environ.get("FAULTS", "0"))
        self._drawing = threading.Lock()
        self._dice = random.Random(f"{seed} {os.getpid()}")

    @property
    def damages(self) -> int:
        return self._series.damages

    def migrate(self) -> None:
        self._series.migrate()

    def write(self, table: str, rows: pa.Table) -> None:
        self._be_there()
        fault = "" if self._dice.random() >= self._rate else self._draw(table)
        if fault in _SECONDS:
            time.sleep(self._dice.uniform(*_SECONDS[fault]))
        if fault != "refused":
            self._series.write(table, rows)
        if fault in ("refused", "ambiguous"):
            raise StoreUnavailable(f"made up: {fault}")

    def _draw(self, table: str) -> str:
        with self._drawing, (self._home / LOG).open("a+") as log:
            log.seek(0)
            number, nth = divmod(sum(1 for _ in log), len(ROUND))
            dealt = random.Random(f"{self._seed} {number}").sample(ROUND, len(ROUND))
            log.write(f"{dealt[nth]} {table}\n")
        return dealt[nth]

    def read(self, question: Question) -> Page:
        self._be_there()
        return self._series.read(question)

    def events(self, question: EventQuestion) -> EventPage:
        self._be_there()
        return self._series.events(question)

    def count_events(self, question: CountQuestion) -> Counts:
        self._be_there()
        return self._series.count_events(question)

    def index(self, fields: Collection[tuple[str, ...]]) -> None:
        self._be_there()
        self._series.index(fields)

    def usage(self, owner: str) -> Iterator[Usage]:
        self._be_there()
        return self._series.usage(owner)

    def erase(self, wanted: Erasure, below: Mapping[int, int]) -> int:
        self._be_there()
        return self._series.erase(wanted, below)

    def counts(self) -> dict[str, int]:
        self._be_there()
        return self._series.counts()

    def clear(self) -> None:
        self._be_there()
        self._series.clear()

    def contents(self, alive: Micros) -> Contents:
        self._be_there()
        return self._series.contents(alive)

    def snapshot(self) -> SeriesSnapshot:
        self._be_there()
        return self._series.snapshot()

    def missing(self) -> Missing:
        return self._series.missing()

    def _be_there(self) -> None:
        if (self._home / AWAY).exists():
            raise StoreUnavailable("made up: away")

    def health(self) -> Health:
        return self._series.health()

    def close(self) -> None:
        self._series.close()


ROUND = (*("refused", "ambiguous", "slow") * 6, "hang")
_SECONDS = {"slow": (0.2, 1.0), "hang": (6.0, 12.0)}


def _open(url: str, settings: StoreSettings, make: bool) -> Series:
    series = _real(url, settings, make)
    return Faulty(series, settings.home, os.environ.get("LAKEBED_SEED", ""))


if __name__ == "__main__":
    _real = opening.SERIES["chdb"]
    opening.SERIES["chdb"] = _open
    sys.exit(main())
