"""Remembers in the catalog up to where a source has taken its queue."""

import asyncio
from typing import Protocol

from lakebed.ports.catalog.notes import NoteStore, note_of_position


class Positions:
    """The position of one source. It is written before more is asked for."""

    def __init__(self, notes: NoteStore, source: str) -> None:
        self._notes, self._note = notes, note_of_position(source)

    async def read(self) -> str:
        """The position; "" if there is none yet. Raises StoreUnavailable."""
        return await asyncio.to_thread(self._notes.note, self._note) or ""

    async def write(self, position: str) -> None:
        await asyncio.to_thread(self._notes.write_note, self._note, position)


class Lead(Protocol):
    """Says whether this process reads the queue: of several gateways one does."""

    @property
    def lost(self) -> bool: ...

    def acquire(self) -> bool:
        """Blocks. Raises StoreUnavailable."""
        ...

    def renew(self) -> None:
        """Blocks; sets `lost` if another process has it."""
        ...
