"""The common part of the embedded journals: they cannot be replaced by another topic."""

from lakebed.ports.journal.adoption import JournalChange


class EmbeddedJournal:
    """Implements `ports.journal.adoption.Adoptable`."""

    def differs(self) -> str:
        return ""

    def change(self) -> JournalChange | None:
        return None
