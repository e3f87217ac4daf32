"""The real command with a mistake in it: `python -m tests.acceptance.stumbling up …`.

Aggregates of numbers cannot bear the number 13, as a version of Lakebed might that is mended by
the next one.
"""

import sys

from lakebed.cli.main import main
from lakebed.kinds.aggregate.numbers import NumbersState
from lakebed.kinds.kind import Values

UNLUCKY = 13.0


def _stumble(self: NumbersState, values: Values) -> None:
    if values.numbers is not None and (values.numbers == UNLUCKY).any():
        raise ZeroDivisionError("thirteen at table")
    _absorb(self, values)


if __name__ == "__main__":
    _absorb = NumbersState.absorb
    NumbersState.absorb = _stumble  # type: ignore[method-assign]
    sys.exit(main())
