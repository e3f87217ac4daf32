"""`archive`: every record at full resolution, without an end or for a long time."""

import pyarrow as pa

from lakebed.kinds.columns import times
from lakebed.kinds.kind import DocumentKey, Kind, Site, Values
from lakebed.kinds.records import RecordsState
from lakebed.kinds.tables import RECORD, RECORD_KEY, STORED, TYPES, Column, Table
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.event_fields import parse_steps
from lakebed.vocabulary.times import SECOND

ARCHIVE = Table(
    "archive",
    {
        **RECORD,
        "expires": Column("second", follows="close", endless=True),
        "received": Column("time", follows="close"),
        STORED: Column("time", follows="close"),
    },
    RECORD_KEY,
    partition=(("month", "time"),),
    begin="time",
    expires=True,
    granule=2048,  # events of one user lie far apart, and each is read with its neighbours
)

_MOST_INDEXED = 16  # fields of a policy


class ArchiveState(RecordsState):
    """Of JSON, which events are, rows also say when they were received and stored."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, ARCHIVE)

    def _rows(self, values: Values) -> pa.Table:
        rows = super()._rows(values)
        if self._site.policy.type != "json":
            return rows
        received = times(values.received)
        return rows.append_column("received", received).append_column(STORED, received)


def _index(value: object) -> tuple[str, ...]:
    """The fields of JSON records that questions are asked about."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{show(value)} is no list of fields, such as [user_id, /order/shop]")
    if len(value) > _MOST_INDEXED:
        raise ValueError(f"{len(value)} fields are too many: {_MOST_INDEXED} at most")
    for field in value:
        if not isinstance(field, str):
            raise ValueError(f"{show(field)} is no field: a field is text")
        parse_steps(field)
    if len({parse_steps(field) for field in value}) < len(value):
        raise ValueError("a field is named twice")
    return tuple(value)


KIND = Kind(
    name="archive",
    types=tuple(TYPES),
    keys={
        "for": DocumentKey(),
        "buffer": DocumentKey(default=SECOND),
        "index": DocumentKey(
            accept=_index,
            write=list,
            types=("json",),
            description="fields of JSON records by which `/events` finds them fast",
        ),
    },
    open=ArchiveState,
    answers="records",
    rank=2,
    tables=dict.fromkeys(TYPES, ARCHIVE),
)
