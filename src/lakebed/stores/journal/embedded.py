"""The common part of the embedded journals: they cannot be replaced by another topic."""

from lakebed.ports.journal.adoption import JournalChange


class EmbeddedJournal:
    """Implements `ports.journal.adoption.Adoptable`, and what never happens to such a journal."""

    def differs(self) -> str:
        return ""

    def change(self) -> JournalChange | None:
        return None

    def holds_older(self) -> bool:
        return False
