"""The navigation: which pages there are, in groups, and which of them somebody sees."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lakebed.access.actions import Action
from lakebed.web.words import mark as _

GROUPS = {
    "data": _("Data"),
    "devices": _("Devices"),
    "accounts": _("Account of messages"),
    "instance": _("Instance"),
}
"""Titles by name, in order."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page in the navigation.

    Attributes:
        name: of its icon, and what marks it as the current one.
        title: marked for translation.
        group: where the navigation lists it; "" for nowhere.
        order: its place in the group.
        action: who may not perform it does not see the page; None for all who have signed in.
    """

    name: str
    path: str
    title: str
    group: str = ""
    order: int = 0
    action: Action | None = None


def ordered(found: Iterable[Page]) -> tuple[Page, ...]:
    """Those that stand in the navigation, in its order."""
    place = {name: number for number, name in enumerate(GROUPS)}
    return tuple(
        sorted((p for p in found if p.group), key=lambda p: (place[p.group], p.order, p.name))
    )


def visible(pages: Iterable[Page], may: Callable[[Action], bool]) -> list[tuple[str, list[Page]]]:
    """Title and pages of each group, as far as somebody may see them."""
    groups: dict[str, list[Page]] = {}
    for page in pages:
        if page.action is None or may(page.action):
            groups.setdefault(page.group, []).append(page)
    return [(GROUPS[name], inside) for name, inside in groups.items()]
