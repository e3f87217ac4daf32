"""Keeps the indexes of the series as the policies in force ask for them.

policies ──index: [user_id]──> fields of all of them ──when they changed──> EventIndexer.index
"""

from lakebed.ports.catalog.policies import PolicyReader
from lakebed.ports.events import EventIndexer
from lakebed.vocabulary.event_fields import parse_steps


class Indexing:
    """Compares the policies with what was indexed last. One thread."""

    def __init__(self, series: EventIndexer, catalog: PolicyReader) -> None:
        self._series, self._catalog = series, catalog
        self._revision = -1
        self._indexed: frozenset[tuple[str, ...]] | None = None

    def look(self) -> None:
        """Index the fields that policies name; none that no policy names.

        Raises:
            StoreUnavailable: a store does not answer: call again.
        """
        revision = self._catalog.revision()
        if revision == self._revision:
            return
        fields = frozenset(
            parse_steps(field)
            for stored in self._catalog.policies()
            for field in stored.document.get("index") or ()
        )
        if fields != self._indexed:
            self._series.index(fields)
        self._indexed, self._revision = fields, revision
