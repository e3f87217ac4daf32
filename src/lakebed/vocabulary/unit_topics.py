"""Topics that name a unit: `example.com/{unit}/pepeunit`.

    pattern   example.com/{unit}/pepeunit
    topic     example.com/7f0c…/pepeunit     ──find──> 7f0c…
    filter    example.com/+/pepeunit         what it matches

A pattern is an MQTT filter in which one level is `{unit}`; that level is a unit's uuid or name.
"""

from dataclasses import dataclass
from typing import Final

from lakebed.vocabulary.topics import check_filter, matches

UNIT: Final = "{unit}"


@dataclass(frozen=True, slots=True)
class UnitPattern:
    """Attributes:
    text: as it was written.
    filter: what it matches, with `+` for the unit.
    place: number of the level that names the unit, from 0.
    """

    text: str
    filter: str
    place: int

    def find(self, topic: str) -> str | None:
        """The level of a topic that names the unit; None where the pattern does not match."""
        if not matches(self.filter, topic):
            return None
        return topic.split("/", self.place + 1)[self.place] or None

    def filled(self, unit: str) -> str:
        """The filter of one unit's topics."""
        return self.text.replace(UNIT, unit)


def unit_pattern_fault(text: str) -> str | None:
    """What is wrong with a pattern; None where it is one."""
    try:
        parse_unit_pattern(text)
    except ValueError as error:
        return str(error)
    return None


def parse_unit_pattern(text: str) -> UnitPattern:
    """Parse a pattern.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    levels = text.split("/")
    if text.count(UNIT) != 1 or UNIT not in levels:
        raise ValueError(
            f"{text!r}: write {UNIT} once, as a whole level, for example example.com/{UNIT}/#"
        )
    for level in levels:
        if level != UNIT and ("{" in level or "}" in level):
            raise ValueError(f"{text!r}: {UNIT} is all that may stand in braces, not {level!r}")
    filter = text.replace(UNIT, "+")
    try:
        check_filter(filter)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if levels[0].startswith("$"):
        raise ValueError(f"{text!r}: topics that begin with $ are the broker's own")
    return UnitPattern(text, filter, levels.index(UNIT))
