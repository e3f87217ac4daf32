"""What the roles and parts of a process add to it; the node puts it all together.

keeper ──┐                                      ┌──> /readyz, /metrics, routes     HTTP
gateway ─┼──> Contribution + Contribution + … ──┼──> tasks, doors                  started last
api ─────┘                                      └──> what others are told of       in the process
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lakebed.ports.health import Health

if TYPE_CHECKING:
    from fastapi import FastAPI
    from prometheus_client import Metric

    from lakebed.ingest.intake import Intake

Address = tuple[str, int]


class Door(Protocol):
    """Where something comes in from outside."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """All of it is optional.

    Attributes:
        health: how a part is, by the name that /readyz has for it; any thread. A later
            contribution replaces an earlier one of the same name.
        metrics: further ones for /metrics; any thread.
        routes: each adds routes to the HTTP application.
        tasks: run from the opening on until the node stops, by name; one that fails ends the node.
        doors: opened when all else works, and closed first.
        addresses: where a door listens once it is open, by name.
        intake: the way in for messages that come by HTTP; without one they are refused.
        policies_changed: told that policies were written or deleted, and waits until they are in
            force, but not for long. Any thread.
        erasure_asked: told that something was asked to be deleted; returns at once. Any thread.
        quiesce: inside it nothing is written to the stores, and everything read is written: for
            backups. Raises `Unavailable` where that cannot be now. Any thread.
    """

    health: Mapping[str, Callable[[], Health]] = field(default_factory=dict)
    metrics: Sequence[Callable[[], Iterable["Metric"]]] = ()
    routes: Sequence[Callable[["FastAPI"], None]] = ()
    tasks: Mapping[str, Callable[[], Coroutine[None, None, None]]] = field(default_factory=dict)
    doors: Sequence[Door] = ()
    addresses: Mapping[str, Callable[[], Sequence[Address]]] = field(default_factory=dict)
    intake: "Intake | None" = None
    policies_changed: Sequence[Callable[[], None]] = ()
    erasure_asked: Sequence[Callable[[], None]] = ()
    quiesce: Sequence[Callable[[], AbstractContextManager[None]]] = ()

    def __add__(self, later: "Contribution") -> "Contribution":
        return Contribution(
            health={**self.health, **later.health},
            metrics=(*self.metrics, *later.metrics),
            routes=(*self.routes, *later.routes),
            tasks={**self.tasks, **later.tasks},
            doors=(*self.doors, *later.doors),
            addresses={**self.addresses, **later.addresses},
            intake=later.intake or self.intake,
            policies_changed=(*self.policies_changed, *later.policies_changed),
            erasure_asked=(*self.erasure_asked, *later.erasure_asked),
            quiesce=(*self.quiesce, *later.quiesce),
        )
