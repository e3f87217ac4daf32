"""What is to be deleted by request."""

from dataclasses import dataclass

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Erasure:
    """What to delete.

    Attributes:
        topic: a topic, or an MQTT filter with wildcards.
        policy: of this policy alone, whatever kinds it has had; None for all of the owner's.
        start, end: half-open range of event time (aggregates: of the window's start).
    """

    owner: str
    topic: str
    policy: str | None = None
    start: Micros | None = None
    end: Micros | None = None

    def covers(self, time: Micros) -> bool:
        after = self.start is None or time >= self.start
        return after and (self.end is None or time < self.end)
