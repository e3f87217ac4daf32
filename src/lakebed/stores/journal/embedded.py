"""What the embedded journals have in common: nobody makes another one in their place."""

from lakebed.ports.journal.adoption import JournalChange


class EmbeddedJournal:
    """Implements `ports.journal.adoption.Adoptable`."""

    def differs(self) -> str:
        return ""

    def change(self) -> JournalChange | None:
        return None
