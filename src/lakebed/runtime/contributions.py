"""What roles and parts of a process add to it; the node adds the contributions up.

keeper ──┐                                      ┌──> /readyz, /metrics, routes     HTTP
gateway ─┼──> Contribution + Contribution + … ──┼──> tasks, doors                  doors start last
api ─────┘                                      └──> callbacks                     between roles
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lakebed.ports.health import Health
from lakebed.ports.metrics import Sample

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lakebed.ingest.intake import Intake

Address = tuple[str, int]


class Door(Protocol):
    """An entrance for traffic from outside: a listener, or a connection to a broker."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What a role adds to the process; every attribute is optional.

    Attributes:
        health: health checks by their name in /readyz; thread-safe. A later contribution replaces
            a check of the same name.
        metrics: what the parts have counted, for /metrics; thread-safe. What is known by looking at
            a part comes with its health.
        routes: functions that add routes to the HTTP application.
        tasks: coroutines by name, which run until the node stops. The node stops if one fails.
        doors: started after everything else, and stopped first.
        addresses: the addresses of doors that listen, by name; valid once they are started.
        upgrades: by path what speaks with clients of the HTTP port that ask for a WebSocket there:
            it is given the socket, and the request as its first bytes.
        intake: the intake for messages by HTTP; without one they are refused.
        policies_changed: called after policies were written or deleted. Waits a short time until
            they are in force. Thread-safe.
        erasure_asked: called after a request to delete was made; returns at once. Thread-safe.
        quiesce: context managers for backups. Inside them this role writes nothing to the stores,
            and everything that it has read is written. They raise `Unavailable` where this is not
            possible now. Thread-safe.
    """

    health: Mapping[str, Callable[[], Health]] = field(default_factory=dict)
    metrics: Sequence[Callable[[], Iterable[Sample]]] = ()
    routes: Sequence[Callable[["FastAPI"], None]] = ()
    tasks: Mapping[str, Callable[[], Coroutine[None, None, None]]] = field(default_factory=dict)
    doors: Sequence[Door] = ()
    addresses: Mapping[str, Callable[[], Sequence[Address]]] = field(default_factory=dict)
    upgrades: Mapping[str, Callable[[], asyncio.Protocol]] = field(default_factory=dict)
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
            upgrades={**self.upgrades, **later.upgrades},
            intake=later.intake or self.intake,
            policies_changed=(*self.policies_changed, *later.policies_changed),
            erasure_asked=(*self.erasure_asked, *later.erasure_asked),
            quiesce=(*self.quiesce, *later.quiesce),
        )
