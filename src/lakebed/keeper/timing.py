"""How long messages wait for the keeper, and how long its writes take; observed for each batch."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from lakebed.ports.metrics import LAG, Distribution, HistogramMetric, Sample
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.times import now as wall_clock

ABSORB_LAG = HistogramMetric(
    "lakebed_keeper_lag_seconds",
    "How long messages waited from when they were received until policies had seen them.",
    bounds=LAG,
)
WRITE = HistogramMetric(
    "lakebed_keeper_write_seconds", "How long inserts into the series took, retries included."
)
CHECKPOINT = HistogramMetric(
    "lakebed_keeper_checkpoint_seconds", "How long checkpoints took to save, retries included."
)
STORE_LAG = HistogramMetric(
    "lakebed_event_store_lag_seconds",
    "How long events took from when they were received until they could be read.",
    bounds=LAG,
)
_BOUNDS = np.array([bound * SECOND for bound in LAG], np.int64)


class KeeperTiming:
    """Of one keeper. Its thread observes, any thread reads.

    Attributes:
        clock: the wall clock.
        write, checkpoint: of calls.
    """

    def __init__(
        self,
        clock: Callable[[], Micros] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock, self.monotonic = clock, monotonic
        self._lag = ABSORB_LAG.distribution()
        self._stored = STORE_LAG.distribution()
        self.write: Distribution = WRITE.distribution()
        self.checkpoint: Distribution = CHECKPOINT.distribution()

    def absorbed(self, received: Ints) -> None:
        """Count messages by how long ago they came; a clock that went back makes no lag."""
        self._observe(self._lag, received)

    def stored(self, received: Ints) -> None:
        """Count events by how long ago they came; their insert has returned."""
        self._observe(self._stored, received)

    def _observe(self, lag: Distribution, received: Ints) -> None:
        if not (received[1:] >= received[:-1]).all():  # mostly they are in order
            received = np.sort(received)
        now, n = self.clock(), len(received)
        within = n - np.searchsorted(received, now - _BOUNDS)  # each bound, by halving
        waited = now - received if received[-1] <= now else np.maximum(now - received, 0)
        counts = np.diff(within, prepend=0, append=n)
        lag.observe_counts(counts.tolist(), float(waited.sum()) / SECOND)

    def metrics(self) -> Iterator[Sample]:
        for one in (self._lag, self._stored, self.write, self.checkpoint):
            yield one.sample()
