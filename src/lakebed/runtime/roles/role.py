"""The shape of a role."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.settings import Settings

Open = Callable[[Process, Contribution], Awaitable[Contribution]]
Listens = Callable[[Settings], Sequence[tuple[str, str]]]


def nowhere(settings: Settings) -> Sequence[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Role:
    """A role of a process.

    Attributes:
        stores: the stores that it needs, of "catalog", "series" and "journal".
        open: starts its work on the event loop, and returns what it adds to the process. It is
            passed the contributions of earlier roles, and pushes callbacks that end its work onto
            `Process.stack`.
        intake: whether it writes to the journal.
        restores: whether it rebuilds a lost series. A process without such a role does not create
            tables that are missing but have existed.
        listens: returns addresses that it listens on besides that of HTTP, each with the name of
            its setting.
    """

    stores: frozenset[str]
    open: Open
    intake: bool = False
    restores: bool = False
    listens: Listens = nowhere
