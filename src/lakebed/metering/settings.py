"""The section `[ledger]`: what the byte ledger keeps."""

from pydantic import Field

from lakebed.section import Duration, Section
from lakebed.vocabulary.times import DAY, HOUR, parse_duration


class LedgerSection(Section):
    """How much of the byte ledger is kept, and how finely."""

    keep: Duration = Field(
        parse_duration("400d"), ge=HOUR, description="how long the byte ledger is kept"
    )
    hours: Duration = Field(
        parse_duration("5w"),
        ge=DAY,
        description="how long it is kept by hour; older hours are merged into days",
    )
    rows: int = Field(
        200_000,
        ge=1,
        description="rows of one hour in one partition; topics beyond are counted together",
    )
    stored: bool = Field(True, description="whether what is stored is measured every hour")
