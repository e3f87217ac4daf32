"""The section `[log]`."""

from typing import Literal

from pydantic import Field

from lakebed.section import Section


class LogSection(Section):
    """Level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged"
    )
    format: Literal["console", "json"] = Field(
        "console", description="`console` for people, `json` for machines"
    )
