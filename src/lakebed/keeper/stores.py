"""Writing to the stores for as long as it takes, once for all kinds.

A store that fails is asked again, with growing pauses, until it answers or the keeper stops. Till
then nothing more is absorbed: memory stays bounded and the journal grows on disk instead.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

import pyarrow as pa
import structlog

from lakebed.keeper.examples import CONSUMER as EXAMPLES
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.settings import DeadLettersSection
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.ports import Catalog, Checkpoint, DeadLetter, DeadLetterStore, Series
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import now

T = TypeVar("T")
log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds


class Stopped(Exception):
    """The keeper was told to stop while a store did not answer; nothing is lost by it."""


class Stores:
    """Attributes:
    failing: what the stores said last, while they refuse; empty when all is well.
    rows: rows written so far.
    """

    def __init__(self, series: Series, catalog: Catalog, stop: threading.Event) -> None:
        self._series, self._catalog, self._stop = series, catalog, stop
        self.failing = ""
        self.rows = 0

    def write(self, groups: Iterable[Iterable[Effect]]) -> None:
        """Make all of it durable: one insert per table and shape of rows, last values in bulk."""
        effects = list(chain.from_iterable(groups))
        for table, rows in _together(effects):
            self.retry_until_available(partial(self._series.write, table, rows))
            self.rows += len(rows)
        values = [effect.values for effect in effects if isinstance(effect, LastValues)]
        last = list(chain.from_iterable(values))
        if last:
            self.retry_until_available(lambda: self._catalog.upsert_last(last))
            self.rows += len(last)

    def claim(self, partition: int) -> int:
        """Become the partition's worker; returns the term to save under."""
        return self.retry_until_available(lambda: self._catalog.claim(CONSUMER, partition))

    def term(self, partition: int) -> int:
        return self.retry_until_available(lambda: self._catalog.term(CONSUMER, partition))

    def save(
        self,
        partition: int,
        term: int,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        examples: Sequence[Checkpoint] = (),
    ) -> None:
        """Raises `Superseded` where another has claimed the partition since."""

        def save() -> None:
            with self._catalog.transaction():
                self._catalog.save_checkpoints(CONSUMER, partition, parts, drop, term)
                if examples:
                    self._catalog.save_checkpoints(EXAMPLES, partition, examples)

        self.retry_until_available(save)

    def examples(self, partition: int) -> list[Checkpoint]:
        return self.retry_until_available(
            lambda: self._catalog.checkpoints(EXAMPLES, partition).get(partition, [])
        )

    def put_aside(self, letters: Sequence[DeadLetter], keep: DeadLettersSection) -> None:
        self.retry_until_available(lambda: self._catalog.add_dead_letters(letters))
        self.retry_until_available(lambda: expire_letters(self._catalog, keep))

    def checkpoints(self, partition: int) -> list[Checkpoint]:
        return self.retry_until_available(
            lambda: self._catalog.checkpoints(CONSUMER, partition).get(partition, [])
        )

    def retry_until_available(self, call: Callable[[], T]) -> T:
        """Call until the store answers."""
        pause = _FIRST_PAUSE
        while True:
            try:
                result = call()
            except Unavailable as error:
                if not self.failing:
                    log.warning("store refuses, trying again", error=str(error))
                self.failing = str(error)
                if self._stop.wait(pause):
                    raise Stopped from error
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self.failing:
                    log.info("store answers again")
                self.failing = ""
                return result


def expire_letters(catalog: DeadLetterStore, keep: DeadLettersSection) -> int:
    """Hold the dead letters within their bounds; returns how many had to go."""
    expired = catalog.expire_dead_letters(keep.count, now() - keep.age, CONSUMER)
    if expired:
        log.warning("dead letters expired", count=expired)
    return expired


def _together(effects: Iterable[Effect]) -> list[tuple[str, pa.Table]]:
    """Join rows of the same table and columns, so that a table gets few and large inserts."""
    alike: dict[tuple[str, tuple[str, ...]], list[pa.Table]] = {}
    for effect in effects:
        if isinstance(effect, Rows) and len(effect.rows):
            columns = tuple(effect.rows.column_names)
            alike.setdefault((effect.table, columns), []).append(effect.rows)
    return [
        (table, pieces[0] if len(pieces) == 1 else _concatenated(pieces))
        for (table, _), pieces in alike.items()
    ]


def _concatenated(pieces: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(pieces).unify_dictionaries().combine_chunks()
