"""Which stored data a request deletes."""

from dataclasses import dataclass

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Erasure:
    """The data to delete: of an owner, topics and a range of time.

    Attributes:
        topic: a topic, or an MQTT filter with wildcards.
        policy: only data of this policy, under every kind that it has had; None for all policies.
        start, end: half-open range of event time (of aggregates: of the window's start).
    """

    owner: str
    topic: str
    policy: str | None = None
    start: Micros | None = None
    end: Micros | None = None

    def covers(self, time: Micros) -> bool:
        after = self.start is None or time >= self.start
        return after and (self.end is None or time < self.end)
