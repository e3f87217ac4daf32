"""Small summaries that merge: quantiles of numbers, distinct counts of texts.

Quantiles: a histogram with logarithmic buckets (DDSketch: Masson, Rim, Lee, "DDSketch: A Fast and
Fully-Mergeable Quantile Sketch with Relative-Error Guarantees", VLDB 2019). Every value is known
to within `ALPHA` of itself, so an interpolated quantile is too. Distinct counts: the K smallest of
64-bit hashes (Bar-Yossef et al., "Counting Distinct Elements in a Data Stream", 2002): exact up to
K, beyond with a standard error of about 1/sqrt(K).
"""

import math
import sys
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.0002
"""Relative error of a value read back from the sketch."""

K = 2048
"""Hashes kept for a distinct count."""

_LOG_GAMMA = math.log((1 + ALPHA) / (1 - ALPHA))
_SHIFT = 2_000_000  # more than any |log(float64)| / _LOG_GAMMA, so that signs stay apart
_CENTRE = math.log(2 / (1 + math.exp(_LOG_GAMMA)))
_LARGEST = math.log(sys.float_info.max)
_HASH_SPACE = 2.0**64


def bins_of(values: NDArray[np.float64]) -> NDArray[np.int32]:
    """int32[n], the bucket of each finite value; buckets are ordered as the values are."""
    with np.errstate(divide="ignore"):
        logs = np.ceil(np.log(np.abs(values)) / _LOG_GAMMA)
    magnitude = np.where(values == 0, 0, logs + _SHIFT)
    return (np.sign(values) * magnitude).astype(np.int32)


def _value_of(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    log = (abs(bucket) - _SHIFT) * _LOG_GAMMA + _CENTRE
    return math.copysign(math.exp(min(log, _LARGEST)), bucket)


def merge(
    sketches: Iterable[tuple[Sequence[int], Sequence[int]]],
) -> tuple[list[int], list[int]]:
    """Add up sketches given as (bins, counts); bins of the result ascend."""
    total: dict[int, int] = {}
    for bins, counts in sketches:
        for bucket, count in zip(bins, counts, strict=True):
            total[bucket] = total.get(bucket, 0) + count
    ordered = sorted(total)
    return ordered, [total[bucket] for bucket in ordered]


def quantile(bins: Sequence[int], counts: Sequence[int], q: float) -> float:
    """The q-quantile (0 … 1), linear between the two nearest ranks as numpy does by default.

    Args:
        bins: buckets, ascending.
        counts: how many values each bucket holds; not all zero.
    """
    cumulative = np.cumsum(np.asarray(counts, np.int64))
    rank = q * (int(cumulative[-1]) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    below = _value_of(bins[int(np.searchsorted(cumulative, low, side="right"))])
    above = _value_of(bins[int(np.searchsorted(cumulative, high, side="right"))])
    return below + (above - below) * (rank - low)


def hash_text(text: str) -> int:
    """The 64-bit hash of a text that distinct counts are made of; the same on every machine."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def smallest(hashes: Iterable[int]) -> list[int]:
    """The K smallest distinct hashes, ascending: the summary of all of them."""
    return sorted(set(hashes))[:K]


def distinct(hashes: Iterable[int]) -> int:
    """How many different texts the hashes (of one summary, or of several together) stand for."""
    kept = smallest(hashes)
    if len(kept) < K:
        return len(kept)
    return round((K - 1) * _HASH_SPACE / kept[-1])
