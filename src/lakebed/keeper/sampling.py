"""Measures once an hour what every owner has stored: the byte-hours of the byte ledger.

What lay there at that moment counts for the whole hour, so byte-hours are a sample. An hour in
which nothing was measured, because no keeper ran or the series did not answer, counts none.
"""

from typing import Protocol

from lakebed.keeper import ledger as ledgers
from lakebed.metering.segment import NO_UNIT, RowKey, of_rows
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.last_values import LastValueReader
from lakebed.ports.catalog.ledger import LedgerReader, LedgerWriter, Measure
from lakebed.ports.series import SeriesReader
from lakebed.queries.reading import usage
from lakebed.vocabulary.times import HOUR, Micros


class SampledCatalog(CheckpointReader, LastValueReader, LedgerReader, LedgerWriter, Protocol):
    """What a sample needs of the catalog."""


def sample(series: SeriesReader, catalog: SampledCatalog, now: Micros) -> bool:
    """Measure the hour of `now`, unless another keeper has; returns whether it did.

    Two that measure at once write the same segment, so nothing is counted twice.
    """
    hour = now // HOUR * HOUR
    if catalog.sampled_hours(hour, hour + HOUR):
        return False
    rows: dict[RowKey, list[int]] = {}
    owners = {channel.owner for channel in ledgers.load(catalog).channels}
    for owner in sorted(owners):
        for kept in usage(series, catalog, owner):
            row = rows.setdefault(RowKey(owner, NO_UNIT, kept["topic"], kept["policy"]), [0, 0])
            row[0] += kept["rows"]
            row[1] += kept["bytes"]
    if rows:
        catalog.save_ledger([of_rows(hour, Measure.STORED, "", 0, rows)])
    return bool(rows)
