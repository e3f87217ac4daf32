"""What surrounds a message and can be kept with its value: the key `with` of a policy.

    Attributes of a message ──┐
    with: [client, …] ────────┴──Chosen.text──> {"client":"shed-1","qos":1}, the text in a row

Sources record what some policy of the owner asks for (`ingest/recording.py`). What a sender did not
give, or was not recorded when the message came, is not there.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.surroundings import FLAGS, NUMBERS, PROPERTY, RECORDED


class Chosen:
    """What one policy keeps of what surrounds its messages."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._properties = {n: n.removeprefix(PROPERTY) for n in names if n.startswith(PROPERTY)}

    def texts(self, attributes: Coded[Attributes], rows: Sequence[int]) -> list[str]:
        """The text of each of these messages; equal attributes are written once."""
        table = [self.text(one) for one in attributes.table]
        codes = attributes.codes.tolist()
        return [table[codes[row]] for row in rows]

    def text(self, found: Attributes) -> str:
        """A JSON object of what is there; "" if nothing is."""
        if found is NO_ATTRIBUTES:
            return ""
        recorded = dict(found.decisions)
        shown: dict[str, Any] = {}
        for name in self._names:
            if name in self._properties:
                values = [v for key, v in found.properties if key == self._properties[name]]
                if values:
                    shown[name] = values[0] if len(values) == 1 else values
            elif name in RECORDED:
                if (text := recorded.get(name)) is not None:
                    shown[name] = _typed(name, text)
            elif value := getattr(found, name):
                shown[name] = value
        return msgspec.json.encode(shown).decode() if shown else ""


def _typed(name: str, text: str) -> str | int | bool:
    if name in FLAGS:
        return text == "1"
    return int(text) if name in NUMBERS else text
