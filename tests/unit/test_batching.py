"""Questions that come together are answered together."""

import asyncio
from collections.abc import Sequence

import pytest

from lakebed.system.batching import Batching


def test_what_is_asked_while_a_batch_runs_goes_with_the_next() -> None:
    batches: list[list[int]] = []

    async def double(questions: list[int]) -> Sequence[int]:
        batches.append(questions)
        await asyncio.sleep(0)
        return [2 * question for question in questions]

    async def story() -> list[int]:
        batching = Batching(double, most=3, at_once=1)
        return await asyncio.gather(*(batching.ask(question) for question in range(7)))

    assert asyncio.run(story()) == [0, 2, 4, 6, 8, 10, 12]
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_an_error_reaches_its_batch_and_the_next_one_is_asked() -> None:
    async def refuse_zero(questions: list[int]) -> Sequence[int]:
        if 0 in questions:
            raise ValueError("zero")
        return questions

    async def story() -> None:
        batching = Batching(refuse_zero, most=2, at_once=1)
        first, second, third = (batching.ask(question) for question in range(3))
        with pytest.raises(ValueError, match="zero"):
            await first
        with pytest.raises(ValueError, match="zero"):
            await second
        assert await third == 2

    asyncio.run(story())


def test_one_that_does_not_wait_any_more_harms_no_other() -> None:
    async def echo(questions: list[int]) -> Sequence[int]:
        await asyncio.sleep(0)
        return questions

    async def story() -> int:
        batching = Batching(echo, most=2, at_once=1)
        gone, there = batching.ask(1), batching.ask(2)
        gone.cancel()
        return await there

    assert asyncio.run(story()) == 2
