"""What is stored and how it grows, by the hourly samples of the byte ledger.

samples of the last day ──> weight of each policy or owner in the newest one
                        ──> bytes a day: from the first sample to the newest
free bytes / (bytes a day, as many as they are on disk) ──> when the disk is full
"""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from fastapi import Request

from lakebed.access.actions import Action
from lakebed.api.routes import ledger
from lakebed.ports.health import Health
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, SECOND, Micros, now
from lakebed.web.page import View

FRESH = 60.0
"""Seconds for which an answer is used: samples are taken once an hour."""

_KEPT = 32  # answers
_ROWS = 100_000
HEAVIEST = 5


@dataclass(frozen=True, slots=True)
class Weight:
    """What lies stored, by policy or by owner.

    Attributes:
        total: bytes in the newest sample.
        heaviest: names and bytes, the heaviest first.
        daily: bytes by which it grows in a day; None while there is but one sample.
    """

    total: int
    heaviest: tuple[tuple[str, int], ...]
    daily: float | None


def weigh(samples: Mapping[Micros, Mapping[str, int]]) -> Weight:
    """The weight by samples, each of bytes by name; hours without a sample are not there."""
    totals = {hour: sum(found.values()) for hour, found in samples.items()}
    hours = sorted(hour for hour, total in totals.items() if total)
    if not hours:
        return Weight(0, (), None)
    first, last = hours[0], hours[-1]
    daily = (totals[last] - totals[first]) / (last - first) * DAY if last > first else None
    ordered = sorted(samples[last].items(), key=lambda one: (-one[1], one[0]))
    heaviest = tuple(one for one in ordered if one[1])[:HEAVIEST]
    return Weight(totals[last], heaviest, daily)


def days_left(parts: Mapping[str, Health], of_all: Weight, reserve: int) -> float | None:
    """Days until the disk has but its reserve left, at the present rate; None if it does not fill.

    Args:
        reserve: free bytes below which sources are held back.
    """
    free = parts["disk"].detail.get("free") if "disk" in parts else None
    if free is None or not of_all.daily or of_all.daily <= 0:
        return None
    on_disk = parts["series"].detail.get("bytes", 0) if "series" in parts else 0
    factor = on_disk / of_all.total if on_disk and of_all.total else 1.0
    return float(max(free - reserve, 0) / (of_all.daily * factor))


class Weights:
    """The weights of a process's name spaces. Any thread; one at a time asks the ledger."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[Any, ...], tuple[float, Weight]] = OrderedDict()

    def by_policy(self, view: View) -> Weight:
        """What the policies of the view's name space keep, as far as the caller may read it."""
        return self._get(view, "policy", {"owner": view.owner})

    def by_owner(self, view: View) -> Weight:
        """What all owners keep."""
        return self._get(view, "owner", {})

    def _get(self, view: View, by: str, asked: dict[str, Any]) -> Weight:
        caller = view.caller.to(Action.LEDGER_READ)
        key = (by, asked.get("owner"), None if caller.may_all() else caller.principal)
        with self._lock:
            until, found = self._found.get(key, (0.0, None))
            if found is None or until < time.monotonic():
                since = (now() - DAY) // SECOND
                query = {"by": [by], "every": "1h", "from": str(since), "limit": _ROWS, **asked}
                answer = ledger.ledger(view.services, caller, ledger.LedgerQuery(**query))
                found = weigh(_samples(answer["rows"], by))
                self._found[key] = (time.monotonic() + FRESH, found)
            self._found.move_to_end(key)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
            return found


def _samples(rows: list[dict[str, Any]], by: str) -> Mapping[Micros, Mapping[str, int]]:
    samples: defaultdict[Micros, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if (
            row["stored_byte_hours"]
            and from_rfc3339(row["end"]) - from_rfc3339(row["start"]) <= HOUR
        ):
            samples[from_rfc3339(row["start"])][row[by] or ""] = row["stored_byte_hours"]
    return samples


def weights_of(request: Request) -> Weights:
    """The weights of this process, which are made for its first page."""
    state = request.app.state
    if not hasattr(state, "weights"):
        state.weights = Weights()
    return cast(Weights, state.weights)
