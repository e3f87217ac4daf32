"""Labels each window with the alignment of the policy version that made it.

A policy whose `every` or `timezone` was changed has windows of several alignments under one name.
They overlap where the change fell, and late messages go to those of the version in force.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Page
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.widths import format_width, parse_width
from lakebed.vocabulary.windows import Alignment

if TYPE_CHECKING:
    import pyarrow as pa

_UTC = "UTC"


def label(page: Page, versions: Sequence[StoredPolicy]) -> Page:
    """Add the columns `every` and `timezone`, where versions of the policy differ in them.

    Incomplete windows of another alignment than the policy's will never be complete. They are
    marked as `cut`, also those of versions that wrote no mark.

    Args:
        versions: all of the policy's name.
    """
    policy = page.question.policy
    own = (policy.every, policy.timezone)
    alignments = dict.fromkeys([own, *(_alignment(stored) for stored in _alike(page, versions))])
    if len(alignments) == 1:
        return page
    import pyarrow as pa

    starts, ends = (page.rows[name].to_numpy() for name in ("start", "end"))
    which = np.full(len(starts), -1)
    for number, (every, timezone) in enumerate(alignments):
        assert every is not None
        start, end = Alignment(every, timezone).bounds(starts)
        hit = (which < 0) & (np.maximum(start, 0) == starts) & (end == ends)
        which[hit] = number
    rows, listed = page.rows, list(alignments)
    cut = rows["cut"].to_numpy() | ((which != 0) & ~rows["complete"].to_numpy())
    rows = _set(rows, "cut", pa.array(cut))
    if len({every for every, _ in listed}) > 1:
        widths = [listed[n][0] if n >= 0 else None for n in which.tolist()]
        spans = [_width(*row) for row in zip(widths, starts.tolist(), ends.tolist(), strict=True)]
        rows = rows.append_column("every", pa.array(spans, pa.string()))
    if len({timezone for _, timezone in listed}) > 1:
        zones = [listed[n][1] if n >= 0 else None for n in which.tolist()]
        rows = rows.append_column("timezone", pa.array(zones, pa.string()))
    return replace(page, rows=rows)


def _alike(page: Page, versions: Sequence[StoredPolicy]) -> list[StoredPolicy]:
    """Versions that kept windows of the same type, the newest first."""
    policy = page.question.policy
    wanted = (policy.keep, policy.type)
    return [
        stored
        for stored in reversed(versions)
        if (stored.document["keep"], stored.document["type"]) == wanted
    ]


def _alignment(stored: StoredPolicy) -> tuple[Micros | None, str]:
    document = stored.document
    return parse_width(document["every"]), document.get("timezone") or _UTC


def _width(every: Micros | None, start: Micros, end: Micros) -> str:
    return format_width(end - start if every is None else every)


def _set(rows: "pa.Table", name: str, column: Any) -> "pa.Table":
    return rows.set_column(rows.column_names.index(name), name, column)
