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
    TOO_DEEP = 39
