"""The section `[series]`."""

from pydantic import Field

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.times import parse_duration


class SeriesSection(Section):
    """The store of records and windows."""

    url: str = Field(
        "chdb:series", description="`chdb:PATH`, `clickhouse://…` or `clickhouses://…` (TLS)"
    )
    cluster: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$|^\{[A-Za-z0-9_]+\}$",
        description="name of the ClickHouse cluster that holds the tables, or a macro `{NAME}`",
    )
    timeout: Duration = Field(
        parse_duration("1m"),
        ge=parse_duration("15s"),
        description="silence of a server after which a call has failed and is repeated",
    )
    memory: Size | None = Field(
        None,
        ge=256 * 2**20,
        description="most bytes of memory for chDB; with it, freed memory is given back at once",
    )
