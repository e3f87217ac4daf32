"""The look, each second, at who of 10,000 units that have limits of their own is near one.

    python -m bench.near_limits

CPU time of one thread, the best of several looks: it can be compared where the machine is busy,
too.
"""

import time

from bench.report import Report
from lakebed.limits.book import LimitBook

_UNITS, _LOOKS = 10_000, 15


def main() -> None:
    figures = {
        "nobody near a limit, ms": _look(1.0) * 1e3,
        "everybody near a limit, ms": _look(9.0) * 1e3,
    }
    Report("near-limits", f"{_UNITS:,} units, each with two limits of its own",
           "python -m bench.near_limits", figures, []).show()  # fmt: skip


def _look(rate: float) -> float:
    """CPU seconds of one look, where each unit sends so many messages a second."""
    at = [1000.0]
    book = LimitBook(clock=lambda: at[0])
    book.put(
        {
            ("plant", f"u{number}"): {"messages": f"10/1s,{600 + number}/1m"}
            for number in range(_UNITS)
        }
    )
    allowances = [book.of_unit("plant", f"u{number}", "") for number in range(_UNITS)]
    best = float("inf")
    for _ in range(_LOOKS):
        for allowance in allowances:
            assert allowance.unit is not None
            allowance.unit.warned_at = at[0]  # the log is not what is measured
            allowance.unit.note_sent(int(rate), int(rate) * 10)
        began = time.thread_time()
        book.tick()
        best = min(best, time.thread_time() - began)
        at[0] += 1
    return best


if __name__ == "__main__":
    main()
