"""Units in memory, as the catalog keeps them."""

from dataclasses import replace
from typing import Any

from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.units import Unit, UnitChanges
from lakebed.vocabulary.errors import StoreUnavailable


class Units:
    """As the catalog: every change has the next revision."""

    def __init__(self) -> None:
        self.revision, self.asked, self.away = 0, 0, False
        self.there: dict[str, Unit] = {}
        self.gone: dict[str, int] = {}
        self.blocked: set[str] = set()

    def put(self, *names: str, owner: str = "ann", **rest: Any) -> None:
        self.revision += 1
        for name in names:
            unit = Unit(f"uuid-{name}", owner, name, revision=self.revision, **rest)
            self.there[unit.uuid] = unit

    def block(self, name: str) -> None:
        self.revision += 1
        unit = self.there[f"uuid-{name}"]
        self.there[unit.uuid] = replace(unit, blocked=True, revision=self.revision)

    def remove(self, name: str) -> None:
        self.revision += 1
        del self.there[f"uuid-{name}"]
        self.gone[f"uuid-{name}"] = self.revision

    def block_owner(self, name: str) -> None:
        self.revision += 1
        self.blocked.add(name)

    def grants_version(self) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return self.revision

    def owners(self) -> list[Owner]:
        return [Owner("ann", blocked="ann" in self.blocked), Owner("bob")]

    def unit_changes(self, since: int, most: int = 2) -> UnitChanges:
        self.asked += 1
        units = sorted(self.there.values(), key=lambda unit: unit.revision)
        changed = [unit for unit in units if unit.revision > since][:most]
        removed = [uuid for uuid, at in self.gone.items() if at > since]
        reached = max([since, *(unit.revision for unit in changed)])
        if len(changed) < most:
            reached = max([reached, *(at for at in self.gone.values())])
        return UnitChanges(reached, changed, removed)
