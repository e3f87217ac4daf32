"""Reads a value of each message, and the function by which the message wants it aggregated.

    {"value": 3, "agg_func": "sum"} ──at, function_at──> 3, in the series of sum

Each function is a field of the policy, so that each has windows of its own. A message that names no
function, or one that the policy does not have, is a dead letter: sent again, it is counted once the
policy has the function.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lakebed.policies.fields import listed
from lakebed.policies.outcomes import Outcome
from lakebed.policies.picked import Parts, Picker, Reading, as_written
from lakebed.policies.values import BROKEN, TOO_DEEP, Column, Origin, decode_slowly
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.pointers import MISSING, Missing, follow, parse_pointer
from lakebed.vocabulary.policy import Policy

_NONE, _UNREADABLE = -1, -2
"""In place of a function's number: the message has none that is known; it is no JSON."""


class ByFunctionReader:
    """Decodes each payload once."""

    def __init__(self, reading: Reading) -> None:
        assert reading.function_at is not None
        self._at = parse_pointer(reading.at or "")
        wanted = [self._at, parse_pointer(reading.function_at)]
        self._timed = reading.time_at is not None
        if reading.time_at is not None:
            wanted.append(parse_pointer(reading.time_at))
        self._picker, self._parts = Picker(wanted), Parts(reading)
        self._numbers: dict[object, int] = {
            name: number for number, (name, _) in enumerate(reading.fields)
        }
        self._else = self._numbers.get(reading.function_else, _NONE)

    def read(self, payloads: Sequence[bytes]) -> Column:
        found, named, *times = self._picker.pick(payloads)
        numbers = np.fromiter(map(self._number, named), np.int32, len(payloads))
        written = (partial(as_written, payload, self._at) for payload in payloads)
        column = self._parts.values(found, written)
        if self._timed:
            moments, outcomes = self._parts.times(times[0])
            # the outcome of the value comes before that of the time
            first = np.where(column.outcomes == Outcome.KEPT, outcomes, column.outcomes)
            column = replace(column, outcomes=first, times=moments)
        barren = np.zeros(len(payloads), np.uint8)
        barren[numbers == _NONE] = Outcome.DEAD_LETTER
        unreadable = numbers == _UNREADABLE
        barren[unreadable] = column.outcomes[unreadable]
        message = np.flatnonzero(numbers >= 0)
        origin = Origin(message, np.zeros(len(message), np.uint32), numbers[message], barren)
        assert column.numbers is not None
        return Column(
            column.outcomes[message],
            column.numbers[message],
            times=None if column.times is None else column.times[message],
            origin=origin,
        )

    def _number(self, named: Any) -> int:
        if isinstance(named, str):
            found = self._numbers.get(named)
            return self._numbers.get(named.strip().lower(), _NONE) if found is None else found
        if named is BROKEN or named is TOO_DEEP:
            return _UNREADABLE
        return self._else if named is None or isinstance(named, Missing) else _NONE


def why_not(policy: Policy, payload: bytes) -> str:
    """Why a policy with `function_at` puts a message aside."""
    assert policy.function_at is not None
    named = follow(decode_slowly(payload), parse_pointer(policy.function_at))
    known = listed(policy.field_names)
    if named is MISSING or named is None:
        return f"it names no function at {policy.function_at}, and there is no function_else"
    return f"its function {show(named)} is none of {known}"
