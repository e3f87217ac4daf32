"""Reads events: topic, time and id out of the JSON of each. Pure.

{"id": "e-1", "name": "requests", "value": 3, "timestamp": 1764300000, "agg_func": "sum"}
    │ bus/NAME  ──> topic bus/requests          the whole event is the payload
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from lakebed.sources.bus.settings import BusSource
from lakebed.sources.pulling.messages import Pulled, Unreadable
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.pointers import MISSING, follow, parse_pointer
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topic_templates import fill, level, names_in, tag_levels

LONGEST_ID = 1024
"""Characters of an event's id."""

_decode = msgspec.json.Decoder().decode


class Place(NamedTuple):
    """Where an event stands on the bus, as far as the bus tells.

    Attributes:
        cursor: that the answer was asked with, or of the event itself.
        since: how many events came since.
    """

    cursor: str
    since: int


class EventReader:
    def __init__(self, source: BusSource) -> None:
        self._name = parse_pointer(source.event_name)
        self._time = parse_pointer(source.event_time)
        self._id = parse_pointer(source.event_id)
        self._bounds = SENT_TIMES._replace(unit=source.time_unit)
        self._topic = source.topic
        self._named = names_in(source.topic)
        self._topics: dict[str, str] = {}

    def read(self, raw: bytes, place: Place | None) -> Pulled | Unreadable:
        """
        Args:
            place: None where the bus tells none; then an event without id has none.
        """
        topic = ""
        try:
            event = _decode(raw)
            topic = self._topic_of(event)
            at = follow(event, self._time)
            time = UNSET if at in (MISSING, None) else parse_time(at, self._bounds)
            return Pulled(topic, raw, time, self._id_of(event, raw, place))
        except RecursionError:
            return Unreadable(raw, "it is nested too deeply", topic)
        except (ValueError, msgspec.MsgspecError) as error:
            return Unreadable(raw, str(error), topic)

    def read_all(
        self, events: Sequence[bytes], place: Callable[[int], Place | None]
    ) -> list[Pulled | Unreadable]:
        return [self.read(raw, place(i)) for i, raw in enumerate(events)]

    def _topic_of(self, event: Any) -> str:
        if not isinstance(event, dict):
            raise ValueError(f"an event is a JSON object, not {show(event)}")
        name = follow(event, self._name)
        if not isinstance(name, str) or not name:
            raise ValueError("it has no name")
        if self._named:
            tags = {key: str(one) for key, one in event.items() if isinstance(one, (str, int))}
            return fill(self._topic, {"NAME": [level(name)], **tag_levels(self._topic, tags)})
        topic = self._topics.get(name)
        if topic is None:
            if len(self._topics) > 10_000:
                self._topics.clear()
            topic = self._topics[name] = fill(self._topic, {"NAME": [level(name)]})
        return topic

    def _id_of(self, event: Any, raw: bytes, place: Place | None) -> str:
        id = follow(event, self._id)
        if isinstance(id, (str, int)) and not isinstance(id, bool) and id != "":
            text = str(id)
            if len(text) > LONGEST_ID or "\0" in text:
                raise ValueError(f"its id is longer than {LONGEST_ID} characters, or has a NUL")
            return text if isinstance(id, str) else f"#{text}"
        if place is None:
            return ""
        # with the event itself: a bus that begins to count again has other events at its places
        found = blake2b(f"{place.cursor}\0{place.since}\0".encode(), digest_size=16)
        found.update(raw)
        return f"@{found.hexdigest()}"
