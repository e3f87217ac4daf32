"""`archive`: every record at full resolution, without an end or for a long time."""

from lakebed.kinds.kind import DocumentKey, Kind
from lakebed.kinds.records import RecordsState
from lakebed.kinds.tables import RECORD, RECORD_KEY, TYPES, Column, Table
from lakebed.vocabulary.times import SECOND

ARCHIVE = Table(
    "archive",
    {**RECORD, "expires": Column("second", follows="close", endless=True)},
    RECORD_KEY,
    partition=(("month", "time"),),
    begin="time",
    expires=True,
)

KIND = Kind(
    name="archive",
    types=tuple(TYPES),
    keys={"for": DocumentKey(), "buffer": DocumentKey(default=SECOND)},
    open=lambda site: RecordsState(site, ARCHIVE),
    answers="records",
    rank=2,
    tables=dict.fromkeys(TYPES, ARCHIVE),
)
