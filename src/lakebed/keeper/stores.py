"""Writes what policies keep, with retries: rows to the series, values to the catalog."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Protocol

import pyarrow as pa
import structlog

from lakebed.consuming.retry import Retry
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.report_topics import ReportTopics
from lakebed.keeper.settings import DeadLettersSection, KeeperSettings
from lakebed.keeper.timing import KeeperTiming
from lakebed.keeper.tracing import KeeperTraces
from lakebed.keeper.unit_reports import UnitReports
from lakebed.kinds.columns import stamped
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.kinds.tables import STORED
from lakebed.outbox import erasing
from lakebed.ports.accounts.owners import ReportTopicStore
from lakebed.ports.accounts.units import UnitReportStore
from lakebed.ports.catalog.dead_letters import DeadLetter, DeadLetterSink
from lakebed.ports.catalog.last_values import LastValueWriter
from lakebed.ports.catalog.ledger import LedgerSegment, LedgerWriter
from lakebed.ports.catalog.outbox import Followed, OutboxBlock, OutboxWriter
from lakebed.ports.erasure import Erasure
from lakebed.ports.series import SeriesWriter
from lakebed.ports.tracing import Tracer
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)


class KeptValues(
    LastValueWriter,
    DeadLetterSink,
    LedgerWriter,
    OutboxWriter,
    UnitReportStore,
    ReportTopicStore,
    Protocol,
):
    """The part of the catalog that is written beside checkpoints."""


class Stores:
    """Attributes:
    retry: asks a store until it answers.
    rows: rows written so far.
    refused: reports of units that could not be kept, by kind and reason.
    timing: how long messages wait, and writes take.
    traces: of what is absorbed and written.
    """

    def __init__(
        self,
        series: SeriesWriter,
        catalog: KeptValues,
        retry: Retry,
        tracer: Tracer | None = None,
    ) -> None:
        self._series, self._catalog, self.retry = series, catalog, retry
        self._report_topics: ReportTopics | None = None
        self.rows = 0
        self.refused: Counter[tuple[str, str]] = Counter()
        self.timing = KeeperTiming()
        self.traces = KeeperTraces(tracer)

    def write(self, groups: Iterable[Iterable[Effect]]) -> None:
        """Make all of it durable: one insert per table and shape of rows, last values in bulk."""
        effects = list(chain.from_iterable(groups))
        with self.traces.writing(len(effects)):
            self._write(effects)

    def _write(self, effects: Sequence[Effect]) -> None:
        for table, rows in _together(effects):
            started = self.timing.monotonic()
            self.retry.until_available(partial(self._insert, table, rows))
            self.timing.write.observe(self.timing.monotonic() - started)
            self.rows += len(rows)
        values = [effect.values for effect in effects if isinstance(effect, LastValues)]
        last = list(chain.from_iterable(values))
        if last:
            self.retry.until_available(lambda: self._catalog.upsert_last(last))
            self.rows += len(last)

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._series.write(table, stamped(rows, self.timing.clock()))
        if STORED in rows.column_names:
            self.timing.stored(rows["received"].cast(pa.int64()).to_numpy())

    def unit_reports(self, partition: int, settings: KeeperSettings) -> UnitReports:
        """What units of a partition report."""
        if self._report_topics is None:
            self._report_topics = ReportTopics(
                self._catalog,
                [*settings.units.state, *chain.from_iterable(s.state for s in settings.brokers)],
                [*settings.units.log, *chain.from_iterable(s.log for s in settings.brokers)],
            )
        return UnitReports(
            partition,
            self._catalog,
            self.retry,
            self._report_topics,
            settings.units.state_every,
            self.refused,
        )

    def followed(self) -> Followed:
        """Which policies relays follow."""
        return self.retry.until_available(self._catalog.followed)

    def save_beside(
        self,
        segments: Sequence[LedgerSegment],
        blocks: Sequence[OutboxBlock],
        erased: tuple[int, Erasure] | None,
    ) -> None:
        """Write within the transaction that is open.

        Args:
            segments: of the byte ledger.
            blocks: of the outbox.
            erased: a partition, and what is deleted of it from the outbox, these blocks too.
        """
        self._catalog.save_ledger(segments)
        if blocks:
            self._catalog.add_outbox(blocks)
        if erased is not None:
            erasing.erase(self._catalog, *erased)

    def add_dead_letters(self, letters: Sequence[DeadLetter], keep: DeadLettersSection) -> None:
        self.retry.until_available(lambda: self._catalog.add_dead_letters(letters))
        self.retry.until_available(lambda: expire_letters(self._catalog, keep, 0))


def expire_letters(catalog: DeadLetterSink, keep: DeadLettersSection, at: Micros) -> int:
    """Expire dead letters that are too old or too many; return how many there were.

    Args:
        at: the journal's time, from which their age counts; 0 if it is unknown.
    """
    expired = catalog.expire_dead_letters(keep.count, at - keep.age, CONSUMER)
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
