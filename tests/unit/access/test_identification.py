import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence

import pytest
from tests.principals import of_token

from lakebed.access.identification import (
    LONGEST_KEPT,
    LONGEST_TOKEN,
    MISSING,
    Identification,
)
from lakebed.access.principals import Grant, Kind, Principal
from lakebed.ports.accounts.credentials import Credential, Grants, Subject, TokenSubject
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.roles import Role

PHONE = StoredToken("ann", "phone", publish=("plant/+/temperature",), read=("plant/#",))
ANN = of_token(PHONE)


class Tokens:
    """A token store that counts how often it is asked, and for what."""

    def __init__(self, **tokens: StoredToken) -> None:
        self.held = tokens
        self.version = 1
        self.concerned: dict[int, Collection[str] | None] = {}
        self.asked: Counter[str] = Counter()
        self.calls = 0
        self.before: Callable[[], object] = lambda: None

    def change(self, concerned: Collection[str] | None = None, **tokens: StoredToken) -> None:
        self.held = tokens
        self.version += 1
        self.concerned[self.version] = concerned

    def add(self, **tokens: StoredToken) -> None:
        self.change((), **self.held | tokens)

    def grants(self, since: int | None = None) -> Grants:
        self.asked["the version"] += 1
        concerned: set[str] | None = None if since is None else set()
        for version in range(since or 0, self.version):
            of_version = self.concerned.get(version + 1)
            concerned = None if None in (concerned, of_version) else concerned | set(of_version)
        answer = Grants(self.version, None if concerned is None else frozenset(concerned))
        self.before()
        return answer

    def shares(self) -> list[Share]:
        return []

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        self.asked.update(map(str, credentials))
        self.calls += 1
        held = [self.held.get(str(credential)) for credential in credentials]
        self.before()
        return [None if found is None else TokenSubject(found) for found in held]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def settled() -> None:
    """What runs in the background has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


def test_a_token_stands_for_its_owner_with_its_filters() -> None:
    grant = Grant("ann", Role.EDITOR, ("plant/+/temperature",), ("plant/#",))
    assert of_token(PHONE) == Principal(Kind.TOKEN, "ann", "phone", (grant,))
    assert of_token(StoredToken("ann", "root", admin=True)).admin


def test_a_token_is_looked_up_once_and_then_known_without_waiting() -> None:
    async def run() -> None:
        tokens = Tokens(good=PHONE)
        identification = Identification(tokens, clock=Clock())
        assert identification.identify_cached("good") is MISSING
        assert await identification.identify("good") == ANN
        assert await identification.identify("good") == ANN
        assert identification.identify_cached("good") == ANN
        assert tokens.asked == {"the version": 1, "good": 1}

    asyncio.run(run())


def test_nobodys_token_is_remembered_too() -> None:
    async def run() -> None:
        tokens = Tokens()
        identification = Identification(tokens, clock=Clock())
        assert await identification.identify("bad") is None
        assert identification.identify_cached("bad") is None
        assert await identification.identify("bad") is None
        assert tokens.asked["bad"] == 1

    asyncio.run(run())


def test_a_token_that_is_made_lets_known_ones_be() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        known = await identification.identify("good")
        assert await identification.identify("new") is None
        for number in range(3):
            tokens.add(new=StoredToken("ann", f"new-{number}"))
            clock.now += 2.0
            assert await identification.identify("good") is known
            assert await identification.identify("new") is not None
        assert (tokens.asked["good"], tokens.asked["new"]) == (1, 2)
        tokens.change()
        clock.now += 2.0
        assert await identification.identify("good") is None

    asyncio.run(run())


def test_a_change_is_looked_up_for_those_whom_it_concerns() -> None:
    async def run() -> None:
        bobs, by_bob = StoredToken("bob", "desk"), StoredToken("team", "board", maker="bob")
        tokens, clock = Tokens(good=PHONE, bobs=bobs, made=by_bob), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        for token in ("good", "bobs", "made"):
            await identification.identify(token)
        tokens.change(["token:bob/desk"], good=PHONE, made=by_bob)
        clock.now += 2.0
        assert await identification.identify("bobs") is None
        assert await identification.identify("good") == ANN
        tokens.change(["user:bob"], good=PHONE)  # of whom a token may no more than they may
        tokens.change(["unit:other"], good=PHONE)
        clock.now += 2.0
        assert await identification.identify("made") is None
        assert await identification.identify("good") == ANN
        assert (tokens.asked["good"], tokens.asked["bobs"], tokens.asked["made"]) == (1, 2, 2)

    asyncio.run(run())


def test_what_was_missed_besides_tokens_that_were_made_counts() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        assert await identification.identify("good") == ANN
        tokens.change()
        tokens.add(new=PHONE)
        clock.now += 2.0
        assert await identification.identify("good") is None

    asyncio.run(run())


@pytest.mark.parametrize(("before", "after"), [(PHONE, None), (None, PHONE)])
def test_a_token_revoked_or_made_takes_effect_within_the_ttl(
    before: StoredToken | None, after: StoredToken | None
) -> None:
    def found(token: StoredToken | None) -> Principal | None:
        return None if token is None else of_token(token)

    async def run() -> None:
        tokens, clock = Tokens(), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        tokens.change(**({"it": before} if before else {}))
        assert await identification.identify("it") == found(before)
        tokens.change(**({"it": after} if after else {}))
        clock.now += 1.99
        assert await identification.identify("it") == found(before)
        clock.now += 0.01
        assert identification.identify_cached("it") is MISSING
        assert await identification.identify("it") == found(after)

    asyncio.run(run())


def test_while_no_grant_changes_tokens_are_not_looked_up_again() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE, other=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        for _ in range(10):
            clock.now += 2.0
            for token in ("good", "other", "bad"):
                await identification.identify(token)
        assert tokens.asked == {"the version": 10, "good": 1, "other": 1, "bad": 1}

    asyncio.run(run())


def test_a_change_of_one_leaves_the_others_the_same_object() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE, other=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        before = await identification.identify("good")
        tokens.change(good=PHONE)
        clock.now += 2.0
        assert await identification.identify("good") is before
        assert await identification.identify("other") is None
        assert tokens.asked["good"] == 2

    asyncio.run(run())


def test_what_was_changed_behind_the_version_is_noticed_after_a_while() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        await identification.identify("good")
        tokens.held.clear()
        clock.now += LONGEST_KEPT - 0.1
        assert await identification.identify("good") == ANN
        clock.now += 0.1
        assert identification.identify_cached("good") is MISSING
        assert await identification.identify("good") is None

    asyncio.run(run())


def test_the_age_of_an_answer_counts_from_the_start_of_its_lookup() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)

        def slow() -> None:
            clock.now += 3.0

        tokens.before = slow
        assert await identification.identify("good") == ANN
        assert identification.identify_cached("good") is MISSING

    asyncio.run(run())


def test_a_lookup_that_began_before_a_change_is_not_remembered_after_it() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        await identification.identify("warm")
        found, go = threading.Event(), threading.Event()

        def hang() -> None:
            found.set()
            go.wait(10)

        tokens.before = hang
        early = asyncio.create_task(identification.identify("good"))
        await asyncio.to_thread(found.wait, 10)
        tokens.before = lambda: None
        tokens.change()
        clock.now += 2.0
        assert await identification.identify("good") is None  # and does not join the early one
        go.set()
        assert await early == ANN
        assert identification.identify_cached("good") is None

    asyncio.run(run())


def test_many_who_come_at_once_with_one_token_share_one_lookup() -> None:
    async def run() -> None:
        tokens = Tokens(good=PHONE)
        identification = Identification(tokens)
        found = await asyncio.gather(*(identification.identify("good") for _ in range(100)))
        assert found == [ANN] * 100
        assert tokens.asked == {"the version": 1, "good": 1}

    asyncio.run(run())


def test_one_who_gives_up_does_not_take_the_others_answer_along() -> None:
    async def run() -> None:
        tokens, go = Tokens(good=PHONE), threading.Event()
        tokens.before = lambda: go.wait(10)
        identification = Identification(tokens)
        first = asyncio.create_task(identification.identify("good"))
        second = asyncio.create_task(identification.identify("good"))
        await asyncio.sleep(0)
        first.cancel()
        go.set()
        assert await second == ANN
        assert tokens.asked["good"] == 1

    asyncio.run(run())


def test_a_catalog_that_does_not_answer_is_told_and_not_remembered() -> None:
    async def run() -> None:
        tokens = Tokens(good=PHONE)

        def fail() -> None:
            raise StoreUnavailable("made up")

        tokens.before = fail
        identification = Identification(tokens)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await identification.identify("good")
        assert identification.identify_cached("good") is MISSING
        tokens.before = lambda: None
        assert await identification.identify("good") == ANN

    asyncio.run(run())


def test_answers_are_good_no_longer_than_the_ttl_while_the_catalog_is_away() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        await identification.identify("good")

        def fail() -> None:
            raise StoreUnavailable("made up")

        tokens.before = fail
        clock.now += 1.5
        assert identification.identify_cached("good") == ANN  # and asks in vain, beside it
        await settled()
        clock.now += 0.5
        assert identification.identify_cached("good") is MISSING
        with pytest.raises(StoreUnavailable):
            await identification.identify("good")

    asyncio.run(run())


def test_a_flood_of_wrong_tokens_is_bounded_and_pushes_no_good_one_out() -> None:
    async def run() -> None:
        tokens = Tokens(good=PHONE)
        identification = Identification(tokens, capacity=10, clock=Clock())
        await identification.identify("good")
        for i in range(50):
            await identification.identify(f"bad {i}")
        assert identification.identify_cached("good") == ANN
        remembered = [identification.identify_cached(f"bad {i}") is None for i in range(50)]
        assert remembered == [False] * 40 + [True] * 10

    asyncio.run(run())


@pytest.mark.parametrize("token", ["", "x" * (LONGEST_TOKEN + 1)])
def test_an_absurd_token_is_refused_without_asking(token: str) -> None:
    async def run() -> None:
        tokens = Tokens()
        identification = Identification(tokens)
        assert identification.identify_cached(token) is None
        assert await identification.identify(token) is None
        assert not tokens.asked

    asyncio.run(run())


def test_bytes_that_are_no_text_are_nobodys() -> None:
    assert asyncio.run(Identification(Tokens()).identify("\udcff\0")) is None


def test_a_token_in_steady_use_never_waits_for_the_version() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=PHONE), Clock()
        identification = Identification(tokens, ttl=2.0, clock=clock)
        first = await identification.identify("good")
        clock.now += 0.9
        assert identification.identify_cached("good") is first
        assert tokens.asked["the version"] == 1
        clock.now += 0.2
        assert identification.identify_cached("good") is first
        assert identification.identify_cached("good") is first
        await settled()
        assert tokens.asked["the version"] == 2
        tokens.change()
        clock.now += 1.1
        assert identification.identify_cached("good") is first
        await settled()
        assert identification.identify_cached("good") is MISSING
        assert await identification.identify("good") is None

    asyncio.run(run())


def test_a_fleet_that_connects_is_looked_up_in_a_few_calls() -> None:
    async def run() -> None:
        fleet = {f"secret-{place}": StoredToken("ann", f"t{place}") for place in range(1_000)}
        tokens = Tokens(**fleet)
        identification = Identification(tokens, clock=Clock())
        found = await asyncio.gather(*map(identification.identify, [*fleet, "bad"]))
        assert [one and one.name for one in found] == [*(f"t{n}" for n in range(1_000)), None]
        assert tokens.calls <= 6
        assert len(identification.take_used().tokens) == 1_000
        assert not identification.take_used().tokens

    asyncio.run(run())


def test_a_common_name_is_no_token() -> None:
    async def run() -> None:
        tokens = Tokens(lamp=PHONE)
        identification = Identification(tokens, clock=Clock())
        assert await identification.identify_certificate("lamp") is None
        assert await identification.identify("lamp") == ANN
        assert await identification.identify_certificate("x" * (LONGEST_TOKEN + 1)) is None

    asyncio.run(run())
