"""Puts changed policies in force, in every partition at an offset of its own."""

import threading
import time
from collections.abc import Callable
from functools import partial

from lakebed.consuming.assignment import PartitionAssignment
from lakebed.consuming.chores import Chore
from lakebed.consuming.retry import Retry
from lakebed.keeper.shard import Shard
from lakebed.ports.catalog.policies import PolicyReader
from lakebed.vocabulary.times import Micros

_EVERY = 0.5  # seconds between two looks at the policies' revision
_IN_FORCE = 2.0  # seconds that a change of policies is waited for


class PolicyAdoption(Chore):
    """Follows the revision of the policies."""

    def __init__(
        self,
        store: PolicyReader,
        assignment: PartitionAssignment[Shard],
        retry: Retry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._assignment, self._retry = store, assignment, retry
        self._monotonic = monotonic
        self._adopted = threading.Condition()
        self._in_force = -1  # revision of the policies that all shards follow
        self._next_look = 0.0

    def look_now(self) -> None:
        """Check for changed policies in the next turn. Any thread."""
        self._next_look = 0.0

    def wait_for(self, revision: int) -> None:
        """Return when that revision is in force, or after two seconds. Any thread."""
        with self._adopted:
            self._adopted.wait_for(lambda: self._in_force >= revision, _IN_FORCE)

    def before_absorb(self, now: Micros, caught_up: bool) -> None:
        if caught_up:
            for shard in self._assignment.workers.values():
                shard.reached_end()
        at = self._monotonic()
        if at < self._next_look:
            return
        self._next_look = at + _EVERY  # before the look: a change meanwhile asks for another
        self._adopt(now, caught_up)

    def _adopt(self, now: Micros, caught_up: bool) -> None:
        revision = self._retry.until_available(self._store.revision)
        shards = self._assignment.workers
        stale = [p for p, s in shards.items() if s.revision != revision and s.replayed]
        if stale:
            policies = self._retry.until_available(self._store.policies)
            adopt = partial(
                Shard.adopt, revision=revision, stored=policies, now=now, caught_up=caught_up
            )
            for partition in stale:
                self._assignment.with_worker(partition, adopt)
        with self._adopted:
            self._in_force = min((s.revision for s in shards.values()), default=revision)
            self._adopted.notify_all()
