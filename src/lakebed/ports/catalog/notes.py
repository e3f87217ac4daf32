"""Short documents that the processes of an instance keep for each other, by name."""

from typing import Protocol


class NoteStore(Protocol):
    def note(self, name: str) -> str | None: ...

    def write_note(self, name: str, text: str | None) -> None:
        """Replace a note; None removes it. What reads it first does both in one transaction."""
        ...
