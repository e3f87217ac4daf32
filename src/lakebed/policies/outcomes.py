"""What becomes of a message under a policy: one small code per message, so columns stay columns.

The lower the code, the nearer the message came to being kept. A message under several policies
counts once in the whole, with the lowest of its codes: `np.minimum` decides.
"""

from enum import IntEnum


class Outcome(IntEnum):
    """Ordered against the way of a message: what is checked last stands first."""

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
    # nobody's fault but ours, or a limit of its owner
    DEAD_LETTER = 50
    OVER_QUOTA = 51
    # no policy at all
    SKIPPED = 60

    @property
    def reason(self) -> str:
        """The name under `filtered` in the flow."""
        return self.name.lower()


CODES = 64
"""All outcomes are below; counters are int64[channels, CODES]."""

UNFILTERED = frozenset(
    {Outcome.KEPT, Outcome.LATE, Outcome.DEAD_LETTER, Outcome.OVER_QUOTA, Outcome.SKIPPED}
)
"""Outcomes with a field of their own in the flow; all others count under `filtered`."""
