import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.access.identification import LONGEST_TOKEN, MISSING, Access, covers
from lakebed.ports import Identity
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.topics import matches

ANN = Identity("ann", "phone", publish=("plant/+/temperature", "events/#"), read=("plant/#",))


class Tokens:
    """A token store that counts how often it is asked."""

    def __init__(self, **tokens: Identity) -> None:
        self.held = tokens
        self.asked: Counter[str] = Counter()
        self.before: Callable[[], object] = lambda: None

    def identify(self, token: str) -> Identity | None:
        self.asked[token] += 1
        answer = self.held.get(token)
        self.before()
        return answer

    def add_token(self, identity: Identity, token: str | None = None) -> str:
        raise NotImplementedError

    def tokens(self) -> list[Identity]:
        raise NotImplementedError

    def revoke_token(self, owner: str, name: str) -> None:
        raise NotImplementedError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_looked_up_once_and_then_known_without_waiting() -> None:
    async def run() -> None:
        tokens = Tokens(good=ANN)
        access = Access(tokens, clock=Clock())
        assert access.identify_cached("good") is MISSING
        assert await access.identify("good") == ANN
        assert await access.identify("good") == ANN
        assert access.identify_cached("good") == ANN
        assert tokens.asked == {"good": 1}

    asyncio.run(run())


def test_nobodys_token_is_remembered_too() -> None:
    async def run() -> None:
        tokens = Tokens()
        access = Access(tokens, clock=Clock())
        assert await access.identify("bad") is None
        assert access.identify_cached("bad") is None
        assert await access.identify("bad") is None
        assert tokens.asked == {"bad": 1}

    asyncio.run(run())


@pytest.mark.parametrize(("before", "after"), [(ANN, None), (None, ANN)])
def test_a_token_revoked_or_made_takes_effect_within_the_ttl(
    before: Identity | None, after: Identity | None
) -> None:
    async def run() -> None:
        tokens, clock = Tokens(), Clock()
        access = Access(tokens, ttl=2.0, clock=clock)
        tokens.held = {"it": before} if before else {}
        assert await access.identify("it") == before
        tokens.held = {"it": after} if after else {}
        clock.now += 1.99
        assert await access.identify("it") == before
        clock.now += 0.01
        assert access.identify_cached("it") is MISSING
        assert await access.identify("it") == after

    asyncio.run(run())


def test_the_age_of_an_answer_counts_from_the_start_of_its_lookup() -> None:
    async def run() -> None:
        tokens, clock = Tokens(good=ANN), Clock()
        access = Access(tokens, ttl=2.0, clock=clock)

        def slow() -> None:
            clock.now += 3.0

        tokens.before = slow
        assert await access.identify("good") == ANN
        assert access.identify_cached("good") is MISSING

    asyncio.run(run())


def test_many_who_come_at_once_with_one_token_share_one_lookup() -> None:
    async def run() -> None:
        tokens = Tokens(good=ANN)
        access = Access(tokens)
        found = await asyncio.gather(*(access.identify("good") for _ in range(100)))
        assert found == [ANN] * 100
        assert tokens.asked == {"good": 1}

    asyncio.run(run())


def test_one_who_gives_up_does_not_take_the_others_answer_along() -> None:
    async def run() -> None:
        tokens, go = Tokens(good=ANN), threading.Event()
        tokens.before = lambda: go.wait(10)
        access = Access(tokens)
        first = asyncio.create_task(access.identify("good"))
        second = asyncio.create_task(access.identify("good"))
        await asyncio.sleep(0)
        first.cancel()
        go.set()
        assert await second == ANN
        assert tokens.asked == {"good": 1}

    asyncio.run(run())


def test_a_catalog_that_does_not_answer_is_told_and_not_remembered() -> None:
    async def run() -> None:
        tokens = Tokens(good=ANN)

        def fail() -> None:
            raise StoreUnavailable("made up")

        tokens.before = fail
        access = Access(tokens)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await access.identify("good")
        assert access.identify_cached("good") is MISSING
        tokens.before = lambda: None
        assert await access.identify("good") == ANN

    asyncio.run(run())


def test_a_flood_of_wrong_tokens_is_bounded_and_pushes_no_good_one_out() -> None:
    async def run() -> None:
        tokens = Tokens(good=ANN)
        access = Access(tokens, capacity=10, clock=Clock())
        await access.identify("good")
        for i in range(50):
            await access.identify(f"bad {i}")
        assert access.identify_cached("good") == ANN
        remembered = [access.identify_cached(f"bad {i}") is None for i in range(50)]
        assert remembered == [False] * 40 + [True] * 10

    asyncio.run(run())


@pytest.mark.parametrize("token", ["", "x" * (LONGEST_TOKEN + 1)])
def test_an_absurd_token_is_refused_without_asking(token: str) -> None:
    async def run() -> None:
        tokens = Tokens()
        access = Access(tokens)
        assert access.identify_cached(token) is None
        assert await access.identify(token) is None
        assert not tokens.asked

    asyncio.run(run())


def test_bytes_that_are_no_text_are_nobodys() -> None:
    assert asyncio.run(Access(Tokens()).identify("\udcff\0")) is None


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("plant/1/temperature", True),
        ("plant/1/pressure", False),
        ("events", True),
        ("events/a/b", True),
        ("eventsx", False),
    ],
)
def test_publishing_is_allowed_by_the_filters_of_the_token(topic: str, allowed: bool) -> None:
    assert Access(Tokens()).may_publish(ANN, topic) is allowed


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("plant/1", True),
        ("plant/+/temperature", True),
        ("plant/#", True),
        ("plant", True),
        ("+/1", False),
        ("#", False),
        ("events/a", False),
    ],
)
def test_reading_is_allowed_where_one_filter_covers_all_that_is_asked(
    asked: str, allowed: bool
) -> None:
    assert Access(Tokens()).may_read(ANN, asked) is allowed


@pytest.mark.parametrize(
    ("outer", "inner", "answer"),
    [
        ("#", "a/b", True),
        ("#", "#", True),
        ("#", "+/#", True),
        ("+/#", "#", True),  # every topic has a first level
        ("#", "/", True),
        ("#", "$SYS/a", False),  # 4.7.2
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/+", True),
        ("a/#", "a", True),  # the parent level
        ("a/#", "a/#", True),
        ("a/+", "a/#", False),
        ("a/+/#", "a/#", False),  # not `a`
        ("a/+", "a/+", True),
        ("a/+", "a/", True),  # an empty level is a level
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/b", "a/+", False),
        ("a/b", "a/b/#", False),
        ("+/+", "#", False),
    ],
)
def test_one_filter_covers_another(outer: str, inner: str, answer: bool) -> None:
    assert covers(outer, inner) is answer


NAMES = ["a", "b", "", "$x"]
TOPICS = [
    "/".join(levels)
    for depth in range(1, 5)
    # "z" stands for all names that no filter below mentions; the empty topic is none, but
    # by the letter "/#" matches it, and "/+/#" does not
    for levels in itertools.product([*NAMES, "z", "$z"], repeat=depth)
]


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from([*NAMES, "+"]), min_size=1, max_size=3))
    if draw(st.booleans()):
        levels[-1] = "#"
    return "/".join(levels) or "a"


@given(filters(), filters())
def test_covering_is_what_matching_says_topic_by_topic(outer: str, inner: str) -> None:
    asked = [topic for topic in TOPICS if matches(inner, topic)]
    assert covers(outer, inner) == all(matches(outer, topic) for topic in asked)


def test_a_token_in_steady_use_is_asked_for_anew_before_its_answer_is_too_old() -> None:
    async def main() -> None:
        tokens, clock = Tokens(good=ANN), Clock()
        access = Access(tokens, ttl=2.0, clock=clock)
        await access.identify("good")
        clock.now += 0.9
        assert access.identify_cached("good") is ANN
        clock.now += 0.2
        assert access.identify_cached("good") is ANN
        assert access.identify_cached("good") is ANN
        await access.identify("good")
        await asyncio.gather(*(task for task in asyncio.all_tasks() if "lookup" in task.get_name()))
        assert tokens.asked["good"] == 2
        tokens.held.clear()
        clock.now += 1.1
        assert access.identify_cached("good") is ANN
        await asyncio.gather(*(task for task in asyncio.all_tasks() if "lookup" in task.get_name()))
        assert access.identify_cached("good") is None

    asyncio.run(main())
