"""The section `[journal]`."""

from pydantic import Field

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.times import parse_duration


class JournalSection(Section):
    """The journal, and how long it keeps messages that are processed."""

    url: str = Field(
        "sqlite:journal.db", description="`sqlite:PATH`, `kafka://HOST:PORT/TOPIC` or `memory:`"
    )
    limit: Size = Field(10 * 2**30, description="bytes on disk at which sources are held back")
    span: Duration = Field(parse_duration("1h"), description="messages are kept at least this long")
    id_horizon: Duration = Field(parse_duration("1d"), description="how long an `id` is remembered")
    commit_delay: Duration = Field(
        0,
        ge=0,
        le=parse_duration("2s"),  # senders wait 5 s for an answer
        description="how long a message waits for others that share its commit",
    )
