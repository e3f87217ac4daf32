"""One hierarchy of errors, named by what the caller should do.

    LakebedError
    ├── Invalid            the input is wrong: tell the sender where and what is allowed  (HTTP 422)
    │   ├── BadRequest     a parameter of a request is wrong  (HTTP 400)
    │   └── SettingsError  the settings are wrong: do not start  (exit 2)
    ├── Denied             the caller may not do this  (HTTP 403)
    │   └── Unauthenticated  the caller is nobody we know  (HTTP 401)
    │       └── FactorNeeded   the password is right, and a second factor is needed  (HTTP 401)
    ├── NotFound           there is no such thing  (HTTP 404)
    ├── Conflict           it clashes with what is there  (HTTP 409)
    │   ├── Outdated       what the caller has seen is not what is there: read again  (HTTP 412)
    │   └── Unsupported    a store of this kind cannot do this: use another way
    ├── TooMany            more than is allowed in this time: come back after `wait`  (HTTP 429)
    ├── StoreDamaged       what a store had kept is damaged: the same call fails again  (HTTP 500)
    ├── Superseded         another worker has taken over: discard the state, write nothing
    ├── Unavailable        right now it cannot be done: try again later  (HTTP 503)
    │   ├── UnknownFormat     a newer version wrote it: upgrade, pass nothing over
    │   ├── StoreUnavailable  a store does not answer or refuses for now
    │   └── JournalFull       the journal has reached its limit, or its disk is full
    └── Fatal              going on would break a promise: stop the process  (exit 3)
        └── JournalFailed  an fsync or a write failed in a way that must not be retried

Foreign exceptions (SQL, ClickHouse, sockets) are translated once, at the adapter.
"""

from dataclasses import dataclass


def show(value: object) -> str:
    """The representation of a value for an error text, at most 60 characters long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class LakebedError(Exception):
    """Base of all errors that Lakebed raises."""

    status = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in a document or a request.

    Attributes:
        where: path inside the input, such as `policies[0].every`, or the name of a parameter.
        what: one sentence that says what is wrong and what is allowed.
        line: 1-based line in the source text; None where there is no text.
    """

    where: str
    what: str
    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line is not None else ""
        return f"{line}{self.where}: {self.what}" if self.where else f"{line}{self.what}"


class Invalid(LakebedError):
    """The input is wrong; `problems` has every error found."""

    status = 422

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class BadRequest(Invalid):
    status = 400

    def __init__(self, where: str, what: str) -> None:
        super().__init__(Problem(where, what))


class SettingsError(Invalid):
    pass


class Denied(LakebedError):
    status = 403


class Unauthenticated(Denied):
    status = 401


class FactorNeeded(Unauthenticated):
    """The password is right, and a second factor is needed as well."""

    problems = (Problem("code", "a code of the second factor is needed, or a passkey"),)


class NotFound(LakebedError):
    status = 404


class Conflict(LakebedError):
    status = 409


class Outdated(Conflict):
    status = 412


class Unsupported(Conflict):
    pass


class TooMany(LakebedError):
    """Attributes:
    wait: microseconds after which it may be tried again.
    """

    status = 429

    def __init__(self, what: str, wait: int) -> None:
        self.wait = wait
        super().__init__(f"{what}: try again in {self.seconds} s")

    @property
    def seconds(self) -> int:
        """The wait in whole seconds, rounded up."""
        return max(1, -(-self.wait // 1_000_000))


class StoreDamaged(LakebedError):
    pass


class Superseded(LakebedError):
    pass


class Unavailable(LakebedError):
    status = 503


class UnknownFormat(Unavailable):
    """What is stored is intact and of a newer format: only an upgrade helps."""


class StoreUnavailable(Unavailable):
    pass


class JournalFull(Unavailable):
    pass


class Fatal(LakebedError):
    pass


class JournalFailed(Fatal):
    pass
