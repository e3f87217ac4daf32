"""Reads several values of one message: its `fields`, and the elements of the array at `split`.

    payloads ──split──> elements ──a pointer for each field──> columns ──> one column of all values

Values are in the order of message, element and field. An element has the same place in its array
whenever the message is read, so place and field name a value within its message for ever.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from lakebed.policies.outcomes import Outcome
from lakebed.policies.picked import Parts, Picker, Reading, Tokens, as_written
from lakebed.policies.values import Column, Origin, absence
from lakebed.vocabulary.pointers import Missing, follow, parse_pointer

MOST_ELEMENTS = 1_000
"""Elements of one array: a message of more is dropped whole."""


class SeveralReader:
    """Decodes each payload once, and reads every field of every element."""

    def __init__(self, reading: Reading) -> None:
        pointers = [pointer for _, pointer in reading.fields] or [reading.at or ""]
        self._fields = [parse_pointer(pointer) for pointer in pointers]
        self._wanted: list[Tokens] = [*self._fields]
        self._timed = reading.time_at is not None
        if reading.time_at is not None:
            self._wanted.append(parse_pointer(reading.time_at))
        self._split = None if reading.split is None else parse_pointer(reading.split)
        self._picker = Picker(self._wanted if self._split is None else [self._split])
        self._parts = Parts(reading)

    def read(self, payloads: Sequence[bytes]) -> Column:
        n, parts = len(payloads), self._picker.pick(payloads)
        message, element = np.arange(n), np.zeros(n, np.uint32)
        barren = np.zeros(n, np.uint8)
        if self._split is not None:
            arrays = [_array(found) for found in parts[0]]
            barren = np.array([outcome for _, outcome in arrays], np.uint8)
            lengths = np.array([len(array) for array, _ in arrays], np.intp)
            message = np.repeat(message, lengths)
            begins = np.cumsum(lengths) - lengths
            element = (np.arange(len(message)) - np.repeat(begins, lengths)).astype(np.uint32)
            elements = list(chain.from_iterable(array for array, _ in arrays))
            parts = [[follow(one, tokens) for one in elements] for tokens in self._wanted]
        where = list(zip(message.tolist(), element.tolist(), strict=True))
        columns = [
            self._parts.values(found, self._written(payloads, where, tokens))
            for tokens, found in zip(self._fields, parts, strict=False)
        ]
        several = len(self._fields)
        numbers = np.tile(np.arange(several, dtype=np.int32), len(message))
        message, element = np.repeat(message, several), np.repeat(element, several)
        column = replace(_woven(columns), origin=Origin(message, element, numbers, barren))
        if not self._timed:
            return column
        found_times, found_outcomes = self._parts.times(parts[-1])
        times, outcomes = np.repeat(found_times, several), np.repeat(found_outcomes, several)
        # the outcome of the value comes before that of the time
        first = np.where(column.outcomes == Outcome.KEPT, outcomes, column.outcomes)
        return replace(column, outcomes=first, times=times)

    def _written(
        self, payloads: Sequence[bytes], where: Sequence[tuple[int, int]], tokens: Tokens
    ) -> Iterator[Callable[[], str | None]]:
        """For each value a function that returns it as its payload writes it."""
        for message, element in where:
            before = () if self._split is None else (*self._split, str(element))
            yield partial(as_written, payloads[message], (*before, *tokens))


def _array(found: Any) -> tuple[list[Any], int]:
    """The elements at `split`, and the outcome of a message that has none."""
    if isinstance(found, Missing):
        return [], absence(found)
    if not isinstance(found, list) or not found:
        return [], Outcome.MISSING_PATH
    if len(found) > MOST_ELEMENTS:
        return [], Outcome.TOO_MANY
    return found, Outcome.KEPT


def _woven(columns: Sequence[Column]) -> Column:
    """Columns of the same messages as one column, the fields of a message beside each other."""
    if len(columns) == 1:
        return columns[0]
    outcomes = np.stack([column.outcomes for column in columns], axis=1).ravel()
    numbers = [column.numbers for column in columns if column.numbers is not None]
    if numbers:
        return Column(outcomes, np.stack(numbers, axis=1).ravel())
    texts = [column.texts for column in columns if column.texts is not None]
    return Column(outcomes, texts=list(chain.from_iterable(zip(*texts, strict=True))))
