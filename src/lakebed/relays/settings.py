"""The section `[relays]`."""

from typing import Annotated

from pydantic import Field

from lakebed.section import Listed, Network, Section


class RelaysSection(Section):
    """Relays to other systems."""

    allow_private: Annotated[tuple[Network, ...], Listed] = Field(
        (),
        description="networks that addresses of users may lead to besides the public internet,"
        " such as `127.0.0.1/32`; what a target there answers is not shown to users",
    )
