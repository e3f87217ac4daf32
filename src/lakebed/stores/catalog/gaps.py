"""How many messages stood in a stretch of the journal that can never be read.

A stretch has a number of records, which the journal tells. What writers have noted tells how many
messages stood in most of them; the others are taken to hold as many as those near them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from lakebed.ports.catalog.journal import Appended

Stretch = tuple[int, int]
"""From an offset on up to another one."""


def without(stretch: Stretch, others: Iterable[Stretch]) -> list[Stretch]:
    """What of a stretch is in none of the others, in order."""
    left: list[Stretch] = []
    start, end = stretch
    for begin, stop in sorted(others):
        if stop <= start or begin >= end:
            continue
        if begin > start:
            left.append((start, begin))
        start = max(start, stop)
    if start < end:
        left.append((start, end))
    return left


def messages(stretch: Stretch, noted: Sequence[Appended], records: int, owner: str) -> Counter[str]:
    """About how many messages stood in a stretch, by owner; exact where each record is noted.

    Args:
        noted: of its partition; one without counts that lies partly inside counts in proportion.
        records: how many the stretch had, at the most.
        owner: whose they are where nothing tells.
    """
    found: Counter[str] = Counter()
    known = 0.0
    for each in noted:
        if each.counts:
            for offset, owners in each.counts:
                if stretch[0] <= offset < stretch[1]:
                    known += 1
                    found.update(owners)
            continue
        inside = min(each.end, stretch[1]) - max(each.start, stretch[0])
        if inside <= 0:
            continue
        share = inside / (each.end - each.start)
        known += each.records * share
        for whose, count in each.owners.items():
            found[whose] += round(count * share)
    unknown = max(0, records - round(known))
    if unknown:
        total = found.total()
        if not total:
            return Counter({owner: unknown})
        for whose, count in list(found.items()):
            found[whose] = count + round(unknown * count / known)
    return Counter({whose: count for whose, count in found.items() if count})
