"""Applies limits to the messages of a request, and gives them the attributes that they share."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from lakebed.ingest.offers import Columns
from lakebed.limits.allowance import Allowance, Verdict
from lakebed.ports.tracing import with_context
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.errors import TooMany
from lakebed.vocabulary.limits import Over
from lakebed.vocabulary.times import DAY, SECOND


def with_attributes(columns: Columns, attributes: Attributes | None) -> Columns:
    """Add attributes that all of these messages share."""
    if attributes is not None:
        shared = Coded.constant(attributes, len(columns.payloads))
        columns.sparse = columns.sparse._replace(attributes=shared)
    return columns


def mark(columns: Columns, context: str) -> None:
    """Record the context of the request's trace with its messages."""
    given = columns.sparse.attributes or Coded.constant(NO_ATTRIBUTES, len(columns.payloads))
    marked = Coded(given.codes, tuple(with_context(value, context) for value in given.table))
    columns.sparse = columns.sparse._replace(attributes=marked)


def apply_limits(allowance: Allowance, columns: Columns) -> None:
    """Decide whether the messages of a request are within the limits.

    Those to be parked get that decision in their attributes.

    Raises:
        TooMany: none of them is taken.
    """
    payloads = columns.payloads
    if allowance.limited:
        over = _over_stored(allowance, columns) if allowance.full else None
        sizes = list(map(len, payloads))
        verdict = allowance.decide(sizes, whole=True)
        if verdict is not None:
            _refuse_unless_parked(verdict)
            of_sender = np.arange(len(payloads)) >= verdict.passed
            over = of_sender if over is None else over | of_sender
        if over is not None:
            given = columns.sparse.attributes or Coded.constant(NO_ATTRIBUTES, len(payloads))
            table = (*given.table, *map(allowance.parked, given.table))
            codes = given.codes + over.astype(np.int32) * np.int32(len(given.table))
            columns.sparse = columns.sparse._replace(attributes=Coded(codes, table).compact())
    if allowance.unit is not None:
        allowance.unit.note_sent(len(payloads), sum(map(len, payloads)))


def _over_stored(allowance: Allowance, columns: Columns) -> NDArray[np.bool_] | None:
    """Which messages are to be parked because other owners, to whom they go, are full.

    Raises:
        TooMany: such an owner takes none.
    """
    owners = [channel.owner for channel in columns.channels]
    counts = {owner: n for owner, n in Counter(owners).items() if allowance.is_full(owner)}
    for owner, count in counts.items():
        _refuse_unless_parked(allowance.stop(owner, count))
    return np.array([owner in counts for owner in owners]) if counts else None


def _refuse_unless_parked(verdict: Verdict) -> None:
    if verdict.over is not Over.PARK:
        wait = min(round(verdict.wait * SECOND), DAY)
        raise TooMany(f"{verdict.why} is reached, and nothing was accepted", wait)
