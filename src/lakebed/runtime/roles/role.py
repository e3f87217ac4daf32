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
    """Attributes:
    stores: what it needs of "catalog", "series" and "journal".
    open: begins its work, on the event loop, and says what it adds to the process. It is given
        what roles before it have added, and pushes onto `Process.stack` what ends its work.
    intake: whether it writes to the journal.
    restores: whether it makes a series good that is lost; else tables that are missing while
        there have been some stay so.
    listens: addresses it takes besides HTTP's, each with its setting.
    """

    stores: frozenset[str]
    open: Open
    intake: bool = False
    restores: bool = False
    listens: Listens = nowhere
