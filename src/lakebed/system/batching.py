"""Answers questions in batches: those that come while one is being answered go with the next.

    ask ──> waiting ──up to `most`──> answer(questions) ──> each future

A fleet that connects asks thousands of questions within a second. A thread and a transaction for
each would cost more than the answers. So under load batches keep a distance, in which they grow; a
question that comes alone is answered at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

DISTANCE: Final = 0.01
"""Seconds between two batches, where more than one question waits for an answer."""


class Batching(Generic[Question, Answer]):
    """Used on the event loop only.

    Args:
        answer: gives the answers of a batch in order; what it raises, all of the batch get.
        most: questions in one batch.
        at_once: batches under way at one time.
        distance: seconds between two of them.
    """

    def __init__(
        self,
        answer: Callable[[list[Question]], Awaitable[Sequence[Answer]]],
        *,
        most: int,
        at_once: int,
        distance: float = DISTANCE,
    ) -> None:
        self._answer = answer
        self._most = most
        self._at_once = at_once
        self._distance = distance
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        """Put a question into the next batch; the future gets its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if len(self._workers) < self._at_once:
            worker = asyncio.create_task(self._work(), name="batched questions")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return future

    async def _work(self) -> None:
        if len(self._workers) > 1:
            await asyncio.sleep(self._distance)
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            await self._answer_all(batch)
            if self._waiting:
                await asyncio.sleep(self._distance)

    async def _answer_all(self, batch: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._answer([question for question, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
