"""Where a test keeps its catalog."""

from dataclasses import dataclass, field
from pathlib import Path

from lakebed.stores.catalog.sql import SqlCatalog, open_catalog


@dataclass
class Place:
    """Where one test's catalog lies; `open` may be called several times."""

    url: str
    home: Path
    opened: list[SqlCatalog] = field(default_factory=list)

    def open(self) -> SqlCatalog:
        catalog = open_catalog(self.url, self.home)
        self.opened.append(catalog)
        return catalog
