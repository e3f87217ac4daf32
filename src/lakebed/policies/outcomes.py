"""The outcome of a message under a policy, as a small number, so that outcomes form a column.

A lower code means that the message passed more steps. A message under several policies is counted
once in total, with the lowest of its codes.
"""

from enum import IntEnum


class Outcome(IntEnum):
    """In the reverse order of the checks: the outcome of the last check comes first."""

    KEPT = 0
    # the value was read but a filter dropped it
    UNIQUE = 10
    MAX_RATE = 11
    DENY = 12
    ALLOW = 13
    MAX = 14
    MIN = 15
    # its time does not fit
    LATE = 20
    INACTIVE = 21
    OUT_OF_RANGE_TIME = 22
    # it could not be read as the policy's type
    BAD_TIME = 30
    OUT_OF_RANGE = 31
    NOT_FINITE = 32
    NOT_A_NUMBER = 33
    NOT_TEXT = 34
    MISSING_PATH = 35
    NOT_JSON = 36
    MAX_SIZE = 37
    TOO_MANY = 38
    TOO_DEEP = 39
    NOT_AN_INTEGER = 40
    NOT_A_BOOLEAN = 41
    # an error of Lakebed, or a limit of the owner
    DEAD_LETTER = 50
    OVER_QUOTA = 51
    # no policy at all
    SKIPPED = 60
    # it stands in the journal twice
    DUPLICATES = 61

    @property
    def reason(self) -> str:
        """The name under `filtered` in the flow."""
        return self.name.lower()


CODES = 64
"""All outcomes are below; counters are int64[channels, CODES]."""

UNFILTERED = frozenset(
    {
        Outcome.KEPT,
        Outcome.LATE,
        Outcome.DEAD_LETTER,
        Outcome.OVER_QUOTA,
        Outcome.SKIPPED,
        Outcome.DUPLICATES,
    }
)
"""Outcomes with a field of their own in the flow; all others count under `filtered`."""
