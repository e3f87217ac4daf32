"""Checks limits on the number of things of an owner, in the transaction that makes them."""

from lakebed.api.services import Services
from lakebed.boards.documents import MOST_BOARDS
from lakebed.relays.documents import MOST_RELAYS
from lakebed.secrets.references import MOST_SECRETS
from lakebed.vocabulary.errors import Invalid, Problem


def check_policies(services: Services, owner: str) -> None:
    """Called after policies were written and before they are committed.

    Raises:
        Invalid: the owner has more than its limit allows.
    """
    limit = services.resending.limits.limits(owner).policies
    if limit is not None:
        _check("policies", owner, len(services.catalog.policies(owner)), limit)


def check_units(services: Services, owner: str) -> None:
    """The same for units."""
    limit = services.resending.limits.limits(owner).units
    if limit is not None:
        _check("units", owner, len(services.accounts.units(owner, limit=limit + 1)), limit)


def check_boards(services: Services, owner: str) -> None:
    """The same for boards, of which there is a limit for every owner."""
    limit = services.resending.limits.limits(owner).boards
    _check(
        "boards",
        owner,
        len(services.catalog.boards(owner)),
        MOST_BOARDS if limit is None else limit,
    )


def check_relays(services: Services, owner: str) -> None:
    """The same for relays, of which every owner may have as many."""
    _check("relays", owner, len(services.catalog.relays(owner)), MOST_RELAYS)


def check_secrets(services: Services, owner: str) -> None:
    """The same for secrets, of which every owner has room for as many."""
    _check("secrets", owner, len(services.catalog.secrets(owner)), MOST_SECRETS)


def _check(what: str, owner: str, count: int, limit: int) -> None:
    if count > limit:
        text = f"the limit `{what}` ({limit}) of owner {owner!r} is reached: nothing was written"
        raise Invalid(Problem(what, text))
