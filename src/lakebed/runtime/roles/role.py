"""The shape of a role."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebed.runtime.settings import Settings

if TYPE_CHECKING:
    from lakebed.runtime.contributions import Parts

Listens = Callable[[Settings], Sequence[tuple[str, str]]]


def nowhere(settings: Settings) -> Sequence[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Role:
    """Attributes:
    stores: what it needs of "catalog", "series" and "journal".
    open: begins its work, on the event loop; pushes onto `Parts.stack` what ends it.
    listens: addresses it takes besides HTTP's, each with its setting.
    """

    stores: frozenset[str]
    open: "Callable[[Parts], Awaitable[None]]"
    listens: Listens = nowhere
