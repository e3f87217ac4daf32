"""What processes have cached of the catalog ends for those whom a change concerns alone."""

import asyncio
from collections.abc import Sequence

from lakebed.access.identification import Identification
from lakebed.access.principals import Principal
from lakebed.ports.accounts.credentials import Credential, Subject
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import Session, User
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR, now


class Asked:
    """The catalog as one process has it, with the credentials that were looked up."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self.grants, self.shares = catalog.grants, catalog.shares
        self._find = catalog.find_subjects
        self.looked_up: set[Credential] = set()

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        self.looked_up |= set(credentials)
        return self._find(credentials)


async def _ask(
    processes: Sequence[Identification], secrets: Sequence[str]
) -> list[list[Principal | None]]:
    return [[await process.identify(secret) for secret in secrets] for process in processes]


def test_a_change_of_one_leaves_what_is_cached_of_others(catalog: SqlCatalog) -> None:
    """Time is passed in, so that each look at the version is the first after the change."""
    moment = 100.0

    def role(principal: Principal | None, owner: str) -> Role | None:
        grants = () if principal is None else principal.grants
        return next((grant.role for grant in grants if grant.owner == owner), None)

    async def run() -> None:
        nonlocal moment
        for user in ("ann", "bob"):
            catalog.add_user(User(user))
            session = Session(f"of {user}", user, now(), now(), now() + HOUR, "", "")
            catalog.add_session(session, f"session of {user}")
            catalog.add_owner(Owner(f"team-of-{user}"), user)
        catalog.put_member(Member("team-of-ann", "bob", Role.EDITOR))
        made = StoredToken("team-of-ann", "by-bob", ("#",), ("#",), maker="bob")
        catalog.add_token(made, "made by bob")
        catalog.add_token(StoredToken("team-of-ann", "plain", ("#",), ("#",)), "plain")
        for owner in ("ann", "bob"):
            ((unit, _),) = catalog.put_units([Unit("", owner, "lamp")])
            catalog.add_unit_token(unit.uuid, f"unit of {owner}")
        users = [f"session of {user}" for user in ("ann", "bob")]
        secrets = [*users, "made by bob", "plain", "unit of ann", "unit of bob"]
        stores = [Asked(catalog), Asked(catalog)]
        processes = [Identification(store, clock=lambda: moment) for store in stores]

        async def after_two_seconds() -> list[Principal | None]:
            nonlocal moment
            moment += 2.0
            for store in stores:
                store.looked_up.clear()
            first, second = await _ask(processes, secrets)
            assert first == second
            assert stores[0].looked_up == stores[1].looked_up
            return first

        await _ask(processes, secrets)
        assert role((await after_two_seconds())[1], "team-of-ann") == Role.EDITOR
        assert not stores[0].looked_up

        catalog.put_member(Member("team-of-ann", "bob", Role.VIEWER))
        found = await after_two_seconds()
        assert role(found[1], "team-of-ann") == role(found[2], "team-of-ann") == Role.VIEWER
        assert stores[0].looked_up == {"session of bob", "made by bob"}

        catalog.remove_member("team-of-ann", "bob")
        found = await after_two_seconds()
        assert role(found[1], "team-of-ann") is found[2] is None
        assert stores[0].looked_up == {"session of bob", "made by bob"}

        catalog.block_unit(unit.uuid, True)
        found = await after_two_seconds()
        assert found[5] is not None
        assert found[5].suspended
        # what is unknown is asked for again after each change
        assert stores[0].looked_up == {"unit of bob", "made by bob"}

        catalog.change_user("ann", blocked=True)
        found = await after_two_seconds()
        assert found[0] is not None
        assert found[0].suspended
        assert stores[0].looked_up == {"session of ann", "made by bob"}

        catalog.change_owner("bob", blocked=True)
        found = await after_two_seconds()
        assert found[5] is not None
        assert found[5].suspended
        assert stores[0].looked_up == {"session of bob", "unit of bob", "made by bob"}

        catalog.change_owner("team-of-ann", blocked=True)
        found = await after_two_seconds()
        assert role(found[0], "team-of-ann") is None
        assert stores[0].looked_up == {"session of ann", "plain", "made by bob"}

        catalog.change_owner("team-of-ann", blocked=False)
        found = await after_two_seconds()
        assert role(found[0], "team-of-ann") == Role.MANAGER
        assert stores[0].looked_up == {"session of ann", "plain", "made by bob"}

    asyncio.run(run())


def test_a_share_ends_what_is_cached_of_its_audience_alone(catalog: SqlCatalog) -> None:
    moment = 100.0

    async def run() -> None:
        nonlocal moment
        for owner in ("ann", "bob", "eve"):
            ((unit, _),) = catalog.put_units([Unit("", owner, "lamp")])
            catalog.add_unit_token(unit.uuid, owner)
        store = Asked(catalog)
        process = Identification(store, clock=lambda: moment)
        secrets = ["ann", "bob", "eve"]
        await _ask([process], secrets)

        async def after_two_seconds() -> tuple[set[Credential], list[bool]]:
            nonlocal moment
            moment += 2.0
            store.looked_up.clear()
            (found,) = await _ask([process], secrets)
            assert None not in found
            return set(store.looked_up), ["ann" in one.shared.owners() for one in found if one]

        def share(*audience: str) -> None:
            catalog.put_shares([Share("ann", "all", ("a",), audience, ("read",))])

        share("owner:bob")
        assert await after_two_seconds() == ({"bob"}, [False, True, False])
        share("owner:eve")
        assert await after_two_seconds() == ({"bob", "eve"}, [False, False, True])
        catalog.change_owner("ann", blocked=True)
        assert await after_two_seconds() == ({"ann", "eve"}, [False, False, False])
        catalog.change_owner("ann", blocked=False)
        assert await after_two_seconds() == ({"ann", "eve"}, [False, False, True])
        catalog.delete_share("ann", "all")
        assert await after_two_seconds() == ({"eve"}, [False, False, False])
        share("instance")
        assert await after_two_seconds() == (set(secrets), [True, True, True])

    asyncio.run(run())
