"""Tells sources when to stop reading and when to continue.

    crowded, full, no room, stopping, failure ──> shut_because ──> gate(BOOL) of each source

The gates are shut while any reason holds. Only one reason ends by itself within moments: too many
bytes that wait to become durable.
"""

import asyncio
from collections.abc import Callable

import structlog

from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, GaugeMetric, measured
from lakebed.vocabulary.errors import JournalFull, Unavailable

log = structlog.get_logger()

OPEN = GaugeMetric(
    "lakebed_intake_open", "1 while messages are taken; 0 while senders are held back."
)
_METRICS = {
    "pending": GaugeMetric(
        "lakebed_intake_pending_bytes",
        "Bytes taken from senders that are not durable yet.",
    ),
    "accepted": CounterMetric("lakebed_intake_messages_total", "Messages that became durable."),
    "duplicates": CounterMetric(
        "lakebed_intake_duplicates_total", "Messages that were durable already when they came."
    ),
    "batches": CounterMetric(
        "lakebed_intake_appends_total", "Appends to the journal, each of many messages."
    ),
}

Gate = Callable[[bool], None]

_ROOM_CHECK = 1.0  # seconds between two checks of the disk
_CROWDED = "more waits to become durable than memory may hold"


class Gates:
    """The gates of all sources. After a change of an attribute call `update`.

    Args:
        opened: called when the gates open, before the sources continue.

    Attributes:
        shut_because: why the gates are shut; None while they are open.
        crowded: more waits to become durable than memory may hold.
        full: the journal's refusal of the append under way.
        no_room: the disk is nearly full.
        failure: why nothing can become durable any more.
        stopping: the process is stopping.
    """

    def __init__(self, opened: Callable[[], None]) -> None:
        self._opened = opened
        self._gates: dict[object, Gate] = {}
        self.shut_because: str | None = "the intake has not started"
        self.crowded = False
        self.full: JournalFull | None = None
        self.no_room = False
        self.failure: BaseException | None = None
        self.stopping = False

    @property
    def are_open(self) -> bool:
        return self.shut_because is None

    def watch(self, gate: Gate) -> Callable[[], None]:
        """Call `gate(False)` when the gates shut, and at once if they are; `gate(True)` on opening.

        Returns:
            a function that ends the calls.
        """
        token = object()
        self._gates[token] = gate
        if not self.are_open:
            gate(False)

        def unwatch() -> None:
            self._gates.pop(token, None)

        return unwatch

    def update(self) -> None:
        """Open or shut the gates according to the attributes."""
        was_open = self.are_open
        self.shut_because = self._reason()
        if was_open == self.are_open:
            return
        if self.are_open:
            self._opened()
        for gate in list(self._gates.values()):
            try:
                gate(self.are_open)
            except Exception:
                log.exception("a gate of the intake failed")

    def refusal(self) -> Unavailable:
        """The error for an offer that is refused now."""
        if self.full is not None:
            return JournalFull(str(self.full))
        return Unavailable(self.shut_because or "nothing is accepted at the moment")

    def health(self, detail: dict[str, int]) -> Health:
        # `crowded` ends within moments, so the process stays ready
        ok = self.are_open or self.shut_because == _CROWDED
        samples = (*measured(_METRICS, detail), OPEN(self.are_open))
        return Health(ok, self.shut_because or "", detail, samples)

    def _reason(self) -> str | None:
        if self.failure is not None:
            return f"the journal failed: {self.failure}"
        if self.stopping:
            return "the process is stopping"
        if self.full is not None:
            return str(self.full)
        if self.no_room:
            return "the disk is nearly full"
        return _CROWDED if self.crowded else None


async def watch_room(gates: Gates, room: Callable[[], bool]) -> None:
    """Shut the gates while `room` says that the disk is nearly full; run until cancelled."""
    while True:
        await asyncio.sleep(_ROOM_CHECK)
        check_room(gates, room)
        gates.update()


def check_room(gates: Gates, room: Callable[[], bool]) -> None:
    """Set `no_room`; it stays as it was if the free space is unknown."""
    try:
        gates.no_room = not room()
    except OSError as error:
        log.warning("the free space on the disk is unknown", error=str(error))
