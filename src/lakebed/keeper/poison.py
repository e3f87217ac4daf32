"""When a policy's own code fails on a message: find the message, put it aside, go on.

The lane that failed may have absorbed half a batch, so it is thrown away and made anew from its
checkpoint, reading the journal again without the messages that break it.
"""

import traceback
from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from lakebed.keeper.lane import Lane
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.once import Once
from lakebed.keeper.routes import Routes
from lakebed.keeper.stores import Stores
from lakebed.keeper.stretch import Stretch, join
from lakebed.policies.outcomes import Outcome
from lakebed.policies.policy import Policy
from lakebed.ports import DeadLetter, Journal
from lakebed.settings import DeadLetters
from lakebed.times import UNSET, now

log = structlog.get_logger(__name__)

MakeLane = Callable[[Policy, int], Lane]
_READ = 20_000  # messages
_TRACE = 4_000  # characters of a traceback that are kept, its end


class Poison:
    """Remembers for each lane the offsets that it must not be given."""

    def __init__(
        self, partition: int, journal: Journal, stores: Stores, keep: DeadLetters, once: Once
    ) -> None:
        self._partition, self._journal, self._stores = partition, journal, stores
        self._keep, self._once = keep, once
        self._offsets: dict[str, set[int]] = {}

    def isolate(
        self, lane: Lane, stretch: Stretch, make: MakeLane, ledger: Ledger
    ) -> tuple[Lane, NDArray[np.uint8]]:
        """The lane as it is after `stretch`, without what it cannot take, and the outcomes."""
        self._find(lane, stretch, make, ledger)
        while True:
            mended = self._restored(lane, make)
            piece = stretch
            try:
                for piece in self._before(mended, int(stretch.offset[0]), ledger):
                    self._give(mended, piece)
                piece = stretch
                return mended, self._give(mended, stretch)
            except Exception:
                self._find(lane, piece, make, ledger)

    def _give(self, lane: Lane, stretch: Stretch) -> NDArray[np.uint8]:
        bad = np.isin(stretch.offset, list(self._offsets.get(lane.part, ())))
        outcomes = np.full(len(stretch), Outcome.DEAD_LETTER, np.uint8)
        outcomes[~bad] = lane.absorb(stretch.take(np.flatnonzero(~bad)))
        lane.offset = max(lane.offset, int(stretch.offset[-1]) + 1)
        return outcomes

    def _find(self, lane: Lane, stretch: Stretch, make: MakeLane, ledger: Ledger) -> None:
        """Try each message alone on a lane without a past; where none fails alone, all do."""
        known = self._offsets.setdefault(lane.part, set())
        guilty: list[tuple[int, str, str]] = []
        for row in range(len(stretch)):
            if int(stretch.offset[row]) in known:
                continue
            try:
                make(lane.policy, 0).absorb(stretch.take(np.array([row])))
            except Exception as error:
                guilty.append((row, f"{type(error).__name__}: {error}", _traceback(error)))
        if not guilty:
            rest = [r for r in range(len(stretch)) if int(stretch.offset[r]) not in known]
            guilty = [(row, "it failed together with others", "") for row in rest]
        letters = [self._letter(lane, stretch, ledger, *what) for what in guilty]
        self._stores.put_aside(letters, self._keep)
        known.update(letter.offset for letter in letters)
        log.error("messages put aside", policy=lane.part, count=len(letters))

    def _letter(
        self, lane: Lane, stretch: Stretch, ledger: Ledger, row: int, why: str, error: str
    ) -> DeadLetter:
        time, received = int(stretch.times[row]), int(stretch.received[row])
        return DeadLetter(
            lane.policy.owner,
            ledger.channels[int(stretch.channel[row])].topic,
            lane.policy.name,
            self._partition,
            int(stretch.offset[row]),
            received,
            stretch.payloads[row],
            why,
            UNSET if time == received else time,
            stretch.ids[row] if stretch.ids is not None else "",
            error,
            now(),
        )

    def _restored(self, lane: Lane, make: MakeLane) -> Lane:
        saved = {part.part: part for part in self._stores.checkpoints(self._partition)}
        checkpoint = saved[lane.part]
        mended = make(lane.policy, checkpoint.offset)
        mended.restore(checkpoint.state)
        mended.saved = checkpoint.offset
        return mended

    def _before(self, lane: Lane, end: int, ledger: Ledger) -> list[Stretch]:
        """What the lane absorbed between its checkpoint and `end`."""
        routes = Routes([lane])
        pieces = []
        offset = lane.offset
        while offset < end:
            entries = self._journal.entries(self._partition, offset, _READ)
            if not entries:
                break
            offset = entries[-1].end
            stretch = join(entries, ledger)
            stretch = stretch.take(np.flatnonzero(self._once.counts(stretch.offset)))
            for _, index in routes.split(stretch, ledger.channels):
                kept = index[(stretch.offset[index] < end) & (stretch.offset[index] >= lane.offset)]
                if len(kept):
                    pieces.append(stretch.take(kept))
        return pieces


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-_TRACE:]
