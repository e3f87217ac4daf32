"""Estimates the number of messages in a range of the journal that can never be read.

The journal knows the number of records in the range. Writers have noted the number of messages for
most of them. The other records are assumed to hold as many as those near them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from lakebed.ports.catalog.journal import Appended

OffsetRange = tuple[int, int]
"""A half-open range of offsets in one partition."""


def without(lost: OffsetRange, others: Iterable[OffsetRange]) -> list[OffsetRange]:
    """The parts of a range that are in none of the others, in order."""
    left: list[OffsetRange] = []
    start, end = lost
    for begin, stop in sorted(others):
        if stop <= start or begin >= end:
            continue
        if begin > start:
            left.append((start, begin))
        start = max(start, stop)
    if start < end:
        left.append((start, end))
    return left


def messages(
    lost: OffsetRange, noted: Sequence[Appended], records: int, owner: str
) -> Counter[str]:
    """About how many messages a range had, by owner; exact if each record is noted.

    Args:
        noted: of its partition; one without counts that lies partly inside counts in proportion.
        records: the most records that the range may have had.
        owner: the owner of messages whose owner is unknown.
    """
    found: Counter[str] = Counter()
    known = 0.0
    for each in noted:
        if each.counts:
            for offset, owners in each.counts:
                if lost[0] <= offset < lost[1]:
                    known += 1
                    found.update(owners)
            continue
        inside = min(each.end, lost[1]) - max(each.start, lost[0])
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
