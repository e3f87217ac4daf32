"""`window`: every record at full resolution, for a time."""

from lakebed.kinds.kind import DocumentKey, Kind
from lakebed.kinds.records import RecordsState
from lakebed.kinds.tables import NUMERIC, RECORD, RECORD_KEY, Column, Table
from lakebed.vocabulary.times import SECOND

WINDOW = Table(
    "window",
    {**RECORD, "expires": Column("second", follows="close")},
    RECORD_KEY,
    # by expiry, so that whole parts leave; by time, so that a page looks into few parts
    partition=(("day", "expires"), ("day", "time")),
    begin="time",
    expires=True,
)

KIND = Kind(
    name="window",
    types=(*NUMERIC, "text"),
    keys={"for": DocumentKey(needed="24h"), "buffer": DocumentKey(default=SECOND)},
    open=lambda site: RecordsState(site, WINDOW),
    answers="records",
    rank=1,
    tables=dict.fromkeys((*NUMERIC, "text"), WINDOW),
)
