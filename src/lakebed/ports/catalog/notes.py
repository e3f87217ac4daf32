"""Short documents that the processes of an instance keep for each other, by name."""

from typing import Protocol


class NoteStore(Protocol):
    def note(self, name: str) -> str | None: ...

    def write_note(self, name: str, text: str | None) -> None:
        """Replace a note; None removes it. What reads it first does both in one transaction."""
        ...


def note_of_source(name: str) -> str:
    """The name of the note in which gateways say what a source did not store, as JSON."""
    return f"source {name}"


def note_of_position(name: str) -> str:
    """The name of the note in which a source keeps up to where it has taken its queue."""
    return f"position of source {name}"
