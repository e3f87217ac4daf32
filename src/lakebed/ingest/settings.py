"""The section `[limits]`: how much is taken in."""

from pydantic import Field

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.times import parse_duration


class LimitsSection(Section):
    """Bounds of what is taken in."""

    payload: Size = Field(256 * 2**10, description="largest payload of one message")
    future: Duration = Field(
        parse_duration("1d"), description="how far ahead of its arrival an event time may lie"
    )
    disk_free: Size = Field(
        256 * 2**20, description="free bytes on the home's disk below which sources are held back"
    )
