"""The section `[relays]`."""

from typing import Annotated

from pydantic import Field

from lakebed.section import Listed, Network, Section, Size


class RelaysSection(Section):
    """Relays to other systems."""

    run: bool = Field(
        True, description="whether a process with the role `keeper` runs relays as well"
    )
    objects: str = Field(
        "exports",
        description="folder in the home, or `s3://BUCKET/PREFIX`, of the files that relays write",
    )
    threads: int = Field(
        16, ge=2, le=256, description="deliveries at a time, of all relays of a process"
    )
    memory: Size = Field(
        64 * 2**20, ge=2**20, description="bytes of records that wait for their delivery"
    )
    allow_private: Annotated[tuple[Network, ...], Listed] = Field(
        (),
        description="networks that addresses of users may lead to besides the public internet,"
        " such as `127.0.0.1/32`; what a target there answers is not shown to users",
    )
