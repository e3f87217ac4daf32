"""The section `[catalog]`."""

from pydantic import Field

from lakebed.section import Section


class CatalogSection(Section):
    """The catalog's database."""

    url: str = Field("sqlite:catalog.db", description="`sqlite:PATH` or `postgresql://…`")
