"""Remembers the last message of each topic of a source, as a checksum, also over a restart.

    messages ──note──> latest, by channel ──fold, once a second──> checksum by topic ──> a file

A noted message costs one entry of a dict; checksums are made of the last of each topic alone. The
file is written after everything in it is durable, and not synced: without it, or with an older
one, a message counts as new, which stores it once more and loses none.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from zlib import adler32, crc32

import msgspec
import structlog

from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import UNSET, Micros

log = structlog.get_logger(__name__)

MOST: Final = 200_000
"""Topics of a source that are remembered: the last that it heard for the first time."""

MOST_BYTES: Final = 32 * 2**20
"""And characters of their names together."""

_FOLD_AT: Final = 4 * 2**20
"""Bytes of payloads that may wait for their checksum."""


class _Saved(msgspec.Struct):
    of: str
    last: dict[str, int]


class LastMessages:
    """Of one source. Event loop only, but `write`.

    Args:
        of: broker and owner; what was written of another is not read.
        path: the file; None to remember nothing over a restart.
    """

    def __init__(self, of: str, path: Path | None) -> None:
        self._of = of
        self._path = path
        self._latest: dict[Channel, Any] = {}
        self._waiting = 0  # bytes of payloads noted since the last fold
        self._last: dict[str, int] = {}
        self._characters = 0
        self.changed = False

    def note(
        self, channels: Sequence[Channel], payloads: Sequence[bytes], event: Sequence[Micros] | None
    ) -> None:
        """Note messages, in the order in which they came."""
        contents: Iterable[Any] = payloads
        if event is not None:
            contents = zip(payloads, event, strict=True)
        self._latest.update(zip(channels, contents, strict=True))
        self._waiting += sum(map(len, payloads))
        if self._waiting > _FOLD_AT:
            self.fold()

    def fold(self) -> None:
        """Make checksums of what was noted."""
        latest, self._latest = self._latest, {}
        self._waiting = 0
        known = self._last
        for (_, topic), content in latest.items():
            digest = checksum(content)
            if known.get(topic) != digest:
                self._put(topic, digest)

    def _put(self, topic: str, digest: int) -> None:
        self.changed = True
        before = len(self._last)
        self._last[topic] = digest
        if len(self._last) > before:
            self._characters += len(topic)
            while len(self._last) > MOST or self._characters > MOST_BYTES:
                oldest = next(iter(self._last))
                del self._last[oldest]
                self._characters -= len(oldest)

    def of(self, topic: str) -> int | None:
        """The checksum of a topic's last message, after `fold`; None if it is not known."""
        return self._last.get(topic)

    # --- the file ---------------------------------------------------------------------------------

    def read(self) -> None:
        """Read what an earlier process wrote; a file that cannot be read is as good as none."""
        if self._path is None:
            return
        try:
            saved = msgspec.json.decode(self._path.read_bytes(), type=_Saved)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("retained messages may be stored again", file=str(self._path),
                        error=str(error))  # fmt: skip
            return
        if saved.of == self._of:
            for topic, digest in saved.last.items():
                self._put(topic, digest)
        self.changed = False

    def snapshot(self) -> dict[str, int]:
        """What is to be written once all messages noted so far are durable."""
        self.fold()
        self.changed = False
        return self._last.copy()

    def write(self, snapshot: dict[str, int]) -> None:
        """Replace the file. From a thread."""
        if self._path is None:
            return
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_bytes(msgspec.json.encode(_Saved(self._of, snapshot)))
            os.replace(temporary, self._path)
        except OSError as error:
            log.warning("after a restart retained messages may be stored again",
                        file=str(self._path), error=str(error))  # fmt: skip


def checksum(content: Any) -> int:
    """The checksum of a payload, or of a pair of payload and event time."""
    if type(content) is bytes:
        return crc32(content) << 32 | adler32(content)
    payload, event = content
    stamp = b"" if event == UNSET else b"\0%d" % event
    return crc32(stamp, crc32(payload)) << 32 | adler32(stamp, adler32(payload))
