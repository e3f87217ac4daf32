"""The exit codes, and the table that maps errors to them.

    0  yes, done
    1  the answer is no: the document is invalid, there is no such thing, doctor found something
    2  wrong usage: flags, parameters, settings
    3  cannot start, or had to stop: a port is taken, the home is held, the journal failed
    4  the server cannot be reached, or says "not now"
    5  the server refused

`main` uses the table for every command; it is ordered from special to general errors.
"""

from enum import IntEnum

from lakebed.vocabulary.errors import (
    BadRequest,
    Denied,
    Fatal,
    Invalid,
    LakebedError,
    NotFound,
    SettingsError,
    Unavailable,
)


class Exit(IntEnum):
    OK = 0
    NO = 1
    USAGE = 2
    FATAL = 3
    UNREACHABLE = 4
    REFUSED = 5


_TABLE: tuple[tuple[type[LakebedError], Exit], ...] = (
    (SettingsError, Exit.USAGE),
    (BadRequest, Exit.USAGE),
    (Invalid, Exit.NO),
    (NotFound, Exit.NO),
    (Denied, Exit.REFUSED),
    (Unavailable, Exit.UNREACHABLE),
    (Fatal, Exit.FATAL),
    (LakebedError, Exit.REFUSED),
)


def exit_code(error: LakebedError) -> Exit:
    return next(code for kind, code in _TABLE if isinstance(error, kind))


def lines(error: LakebedError) -> list[str]:
    """The lines for stderr, one for each problem."""
    if isinstance(error, Invalid) and error.problems:
        return [str(problem) for problem in error.problems]
    return [str(error) or type(error).__name__]
