"""Keeps what units report on the topics that are named for it: their state, and their log.

    chunk ──topics of patterns──> state: newest of each unit ──interval over──> last state, catalog
                                  log:   entries ─────────────next flush──────> log, catalog

Of one partition, used by its shard. Messages are given once, as the ledger counts them, and what
waits is saved with the ledger: a state that came early, and nothing of a log, which is written
before. Entries that are written again after a crash have the same keys, and a state gives way only
to a newer one. So a replay changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import structlog

from lakebed.consuming.retry import Retry
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.report_parsing import BadReport, check_state, read_log
from lakebed.keeper.report_topics import LOG, STATE, Key, ReportTopics
from lakebed.ports.accounts.units import UnitLog, UnitReportStore, UnitStatus
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import SECOND, Micros

log = structlog.get_logger(__name__)

CONSUMER = "unit reports"
"""The name under which they are saved beside the keeper's checkpoint."""

_PART = "states"
_EARLY: Micros = SECOND  # a state may come so much before its interval is over
_MOST_BYTES = 64 * 2**20  # of states that wait; beyond, all are written
_MOST_NAMED = 20  # units whose bad reports are logged


class UnitReports:
    """Args:
    topics: those that bring reports.
    every: a unit's state is kept at most once in this time, less a second.

    Attributes:
        refused: reports, or entries of them, that could not be kept, by kind and reason.
    """

    def __init__(
        self,
        partition: int,
        store: UnitReportStore,
        retry: Retry,
        topics: ReportTopics,
        every: Micros,
        refused: Counter[tuple[str, str]],
    ) -> None:
        self.refused = refused
        self._partition, self._store, self._retry = partition, store, retry
        self._topics, self._version = topics, topics.version
        self._wait = max(0, every - _EARLY)
        self._kinds: list[tuple[str, Key] | None] = []  # by number of the channel
        self._is_report = np.zeros(0, np.bool_)
        self._states: dict[Key, tuple[Micros, bytes]] = {}  # received, payload
        self._bytes = 0
        self._kept: dict[Key, Micros] = {}  # when a state was last written
        self._logs: list[tuple[Key, int, Micros, bytes]] = []  # offset, received, payload
        self._changed = False
        self._named: set[Key] = set()

    def absorb(self, chunk: Chunk, channels: Sequence[Channel]) -> None:
        """Take the reports out of messages that nobody has taken before."""
        self._topics.follow()
        if not self._topics.are_named:
            return
        self._look_at(channels)
        for row in np.flatnonzero(self._is_report[chunk.channel]).tolist():
            found = self._kinds[chunk.channel[row]]
            assert found is not None
            kind, key = found
            received, payload = int(chunk.received[row]), chunk.payloads[row]
            if kind == LOG:
                self._logs.append((key, int(chunk.offset[row]), received, payload))
            else:
                self._take_state(key, received, payload)

    def _look_at(self, channels: Sequence[Channel]) -> None:
        """Find out which of the channels that are new bring reports."""
        if self._version != self._topics.version:
            self._version = self._topics.version
            self._kinds.clear()
        if len(channels) == len(self._kinds):
            return
        self._kinds += map(self._topics.find, channels[len(self._kinds) :])
        self._is_report = np.array([kind is not None for kind in self._kinds], np.bool_)

    def _take_state(self, key: Key, received: Micros, payload: bytes) -> None:
        try:
            check_state(payload)
        except BadReport as bad:
            self._refuse(STATE, "bad", key, str(bad))
            return
        before = self._states.get(key)
        if before is None or before[0] <= received:
            self._bytes += len(payload) - (len(before[1]) if before else 0)
            self._states[key] = received, payload
            self._changed = True

    # --- writing ----------------------------------------------------------------------------------

    def due(self) -> Micros | None:
        """When something that waits is to be written."""
        moments = [self._due(key, received) for key, (received, _) in self._states.items()]
        moments += [received for _, _, received, _ in self._logs[:1]]
        return min(moments, default=None)

    def _due(self, key: Key, received: Micros) -> Micros:
        kept = self._kept.get(key)
        return received if kept is None else max(received, kept + self._wait)

    def flush(self, now: Micros, final: bool = False) -> None:
        """Write logs, and the states that are due; with `final` all states."""
        self.flush_logs()
        all_of_them = final or self._bytes > _MOST_BYTES
        due = {
            key: state
            for key, state in self._states.items()
            if all_of_them or self._due(key, state[0]) <= now
        }
        if due:
            self._write_states(due)
            for key in due:
                self._bytes -= len(self._states.pop(key)[1])
                self._kept[key] = now
            over = now - self._wait
            self._kept = {key: at for key, at in self._kept.items() if at > over}
            self._changed = True

    def flush_logs(self) -> None:
        """Write the entries that wait. Called before anything is saved: they are not."""
        waiting, self._logs = self._logs, []
        if not waiting:
            return
        uuids = self._uuids({key for key, *_ in waiting})
        entries: list[tuple[int, int, int, UnitLog]] = []
        newest: dict[str, Micros] = {}
        for key, offset, received, payload in waiting:
            uuid = uuids.get(key)
            if uuid is None:
                self._refuse(LOG, "unknown", key, "there is no such unit")
                continue
            for place, entry in read_log(uuid, payload, received):
                if isinstance(entry, BadReport):
                    self._refuse(LOG, "bad", key, str(entry))
                else:
                    entries.append((self._partition, offset, place, entry))
                    newest[uuid] = max(received, newest.get(uuid, 0))
        statuses = [UnitStatus(uuid, seen=at, log_at=at) for uuid, at in newest.items()]
        self._retry.until_available(partial(self._store.add_unit_logs, entries))
        self._retry.until_available(partial(self._store.put_unit_statuses, statuses))

    def _write_states(self, states: dict[Key, tuple[Micros, bytes]]) -> None:
        uuids = self._uuids(states.keys())
        newest: dict[str, UnitStatus] = {}
        for key, (received, payload) in states.items():
            uuid = uuids.get(key)
            if uuid is None:
                self._refuse(STATE, "unknown", key, "there is no such unit")
            elif uuid not in newest or (newest[uuid].state_at or 0) <= received:
                newest[uuid] = UnitStatus(uuid, seen=received, state=payload, state_at=received)
        statuses = list(newest.values())
        self._retry.until_available(partial(self._store.put_unit_statuses, statuses))

    def _uuids(self, keys: Any) -> dict[Key, str]:
        """The uuids of units, as the catalog has them now."""
        found = {}
        for key in keys:
            unit = self._retry.until_available(partial(self._store.unit, *key))
            if unit is not None:
                found[key] = unit.uuid
        return found

    def _refuse(self, kind: str, reason: str, key: Key, what: str) -> None:
        self.refused[kind, reason] += 1
        if key not in self._named and len(self._named) < _MOST_NAMED:
            self._named.add(key)
            log.warning("a unit's report is not kept", kind=kind, owner=key[0], unit=key[1],
                        reason=what)  # fmt: skip

    # --- saving -----------------------------------------------------------------------------------

    def take_changed(self, offset: int) -> list[Checkpoint]:
        """What is to be saved, if anything has changed since the last call."""
        if not self._changed:
            return []
        self._changed = False
        state = (
            [[*key, *state] for key, state in self._states.items()],
            [[*key, at] for key, at in self._kept.items()],
        )
        return [Checkpoint(_PART, offset, msgspec.msgpack.encode(state))]

    def restore(self, parts: Sequence[Checkpoint]) -> None:
        for part in parts:
            states, kept = msgspec.msgpack.decode(part.state)
            self._states = {(owner, unit): (at, payload) for owner, unit, at, payload in states}
            self._kept = {(owner, unit): at for owner, unit, at in kept}
            self._bytes = sum(len(payload) for _, payload in self._states.values())
