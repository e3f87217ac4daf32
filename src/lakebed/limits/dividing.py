"""Divides limits among the gateways that receive: who needs how much gets which share.

    needs of all gateways ──divide──> shares they aim at ──what others have──> lease of this one

A share is a part of the whole limit, from 0 to 1. What no gateway uses much of is divided evenly,
without a word about it; only owners and units that use more are named in leases.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

FORMAT = 1
"""Of the leases that this version writes."""

RESERVED = 0.1
"""The part of each limit that is kept for gateways that have no need of it yet, together."""

NAMED = 1000
"""Owners and units that one gateway names, those with the greatest need."""

_NAMED_FROM = 0.5  # of an even share, from which need on an owner or unit is named
_ROUNDED = 1e-9  # sums of shares are as exact
_STEP = 0.01  # shares that differ by less stay as they are


class Part(NamedTuple):
    """The part of one gateway in the limits of an owner or unit.

    Attributes:
        need: the part that it could use.
        share: the part that it has.
        fill: how full its buckets are, from 0 to 1; of several the emptiest.
    """

    need: float
    share: float
    fill: float


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """What one gateway has of all limits.

    Attributes:
        even: its share of those that are not named.
        named: by `OWNER/UNIT`, without unit `OWNER/`.
        ended: whether the gateway has stopped, and only says how full its buckets were.
    """

    even: float = 1.0
    named: dict[str, Part] = {}
    ended: bool = False

    def share(self, key: str) -> float:
        found = self.named.get(key)
        return self.even if found is None else found.share


WHOLE = Lease()
"""That of a process which shares limits with no other."""


def divide(needs: Sequence[float]) -> list[float]:
    """Shares by need, 1 together; where needs are more than that, the smaller are fulfilled first.

    So nobody who needs much takes from those who need little (max-min fairness).
    """
    total = sum(needs)
    if total <= 1:
        return [need / total if total else 1 / len(needs) for need in needs]
    shares, left = [0.0] * len(needs), 1.0
    for place, (need, i) in enumerate(sorted((need, i) for i, need in enumerate(needs))):
        shares[i] = min(need, left / (len(needs) - place))
        left -= shares[i]
    return shares


def next_lease(
    own: Mapping[str, tuple[float, float]], former: Lease | None, others: Sequence[Lease]
) -> Lease:
    """The lease of a gateway, given those of all others that are alive.

    Where a share grows, it takes only what no other has: shares are never more than 1 together,
    but for a gateway that is new, which begins with its even share at once.

    Args:
        own: need and fill of owners and units that it could use more than a little of.
        former: its lease so far; None of a new gateway.
    """
    gateways = len(others) + 1
    least, fair = RESERVED / gateways, 1 / gateways
    if gateways == 1:  # who joins is told of what is used up
        named = {
            key: Part(round(need, 2), 1.0, round(fill, 3))
            for key, (need, fill) in own.items()
            if need >= _NAMED_FROM / 2
        }
        return Lease(1.0, named)
    if former is None:
        even = fair
    else:
        even = max(least, min(fair, 1 - sum(other.even for other in others)))
    named = {}
    for key in _to_name(own, even, others):
        need, fill = own.get(key, (0.0, 1.0))
        needs = [max(least, need)]
        for other in others:
            part = other.named.get(key)
            needs.append(max(least, 0.0 if part is None else part.need))
        aim = divide(needs)[0]
        free = 1 - sum(other.share(key) for other in others)
        share = max(least, min(aim, free))
        before = share if former is None else former.share(key)
        if least <= before <= free + _ROUNDED and abs(before - share) < _STEP:
            share = before
        named[key] = Part(round(need, 2), share, round(fill, 3))
    return Lease(even, named)


def _to_name(
    own: Mapping[str, tuple[float, float]], even: float, others: Sequence[Lease]
) -> list[str]:
    """Owners and units of which a gateway needs much, or still has so much that too little is left.

    Where they are too many, those needed most.
    """
    least = _NAMED_FROM / (len(others) + 1)
    found = {key: need for key, (need, _) in own.items() if need >= least}
    for other in others:
        for key, part in other.named.items():
            if part.need >= least or key in found:
                found[key] = max(part.need, found.get(key, 0.0))
            elif sum(one.share(key) for one in others) + even > 1 + _ROUNDED:
                found[key] = 0.0
    most = NAMED * (len(others) + 1)
    if len(found) <= most:
        return list(found)
    return sorted(found, key=lambda key: (-found[key], key))[:most]


def fills(leases: Sequence[Lease]) -> dict[str, float]:
    """How full the buckets of other gateways are, the emptiest of each owner or unit."""
    found: dict[str, float] = {}
    for lease in leases:
        for key, part in lease.named.items():
            found[key] = min(part.fill, found.get(key, 1.0))
    return found


def smaller(one: Lease, other: Lease) -> Lease:
    """The smaller share of each: for a gateway that does not know which of the two it has."""
    named = {
        key: min(
            (lease.named.get(key) or Part(0.0, lease.even, 1.0) for lease in (one, other)),
            key=lambda part: part.share,
        )
        for key in one.named.keys() | other.named.keys()
    }
    return Lease(min(one.even, other.even), named)
