"""Plots numbers over time in the terminal; of aggregates the mean and the extremes."""

from collections.abc import Sequence
from typing import Any

from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, Micros, to_datetime

_LINES = {
    "value": "hd", "increase": "hd", "rate": "hd", "time_weighted_avg": "hd", "delta": "hd",
    "avg": "hd", "max": "˙", "min": ".", "last": "hd", "sum": "hd", "count": "hd",
}  # fmt: skip


def plot(
    records: Sequence[dict[str, Any]], title: str, width: int, height: int, color: bool
) -> str:
    """Draw the plot as text.

    Raises:
        LakebedError: the records have no numbers.
    """
    import plotext

    times, lines = curves(records)
    if not lines:
        raise LakebedError("nothing to plot: no numbers among these records")
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.theme("simple" if color else "colorless")
    figure.title(title)
    seconds = [time / SECOND for time in times]
    for name, values in lines.items():
        given = [(x, y) for x, y in zip(seconds, values, strict=True) if y is not None]
        signal = figure.signal(*zip(*given, strict=True), marker=_LINES[name])
        signal.lines()
        if len(lines) > 1:
            signal.label(name)
        figure.draw(signal)
    positions, labels = ticks(times[0], times[-1], max(2, width // 25))
    figure.ruler("x").ticks(positions, labels)
    text: str = figure.build().string(colorless=not color)
    return text


def curves(records: Sequence[dict[str, Any]]) -> tuple[list[Micros], dict[str, list[float | None]]]:
    """Return times and the lines to draw over them; the last is on top."""
    rows = sorted(records, key=_time)
    shown = ("min", "max", "avg") if any("avg" in row for row in rows) else tuple(_LINES)
    lines: dict[str, list[float | None]] = {}
    for name in shown:
        values = [_number(row.get(name)) for row in rows]
        if any(value is not None for value in values):
            lines[name] = values
        if lines and "avg" not in shown:
            break  # without an average only the first line
    return [_time(row) for row in rows], lines


def _time(row: dict[str, Any]) -> Micros:
    return from_rfc3339(row.get("time") or row["start"])


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def ticks(first: Micros, last: Micros, count: int) -> tuple[list[float], list[str]]:
    """Return evenly spaced ticks of the time axis, with labels as exact as the span needs."""
    span = last - first
    if span > 2 * DAY:
        form = "%Y-%m-%d" if span > 20 * DAY else "%m-%d %H:%M"
    else:
        form = "%H:%M" if span > 2 * HOUR and span > count * MINUTE else "%H:%M:%S"
    positions = sorted({first + span * i // (count - 1) for i in range(count)})
    return [p / SECOND for p in positions], [to_datetime(p).strftime(form) for p in positions]
