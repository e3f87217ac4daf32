"""Routes messages to policy tasks: matched once per channel, then by an array look-up."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.task import PolicyTask
from lakebed.vocabulary.messages import Channel, Codes, Ints
from lakebed.vocabulary.topics import FilterTree

_UNKNOWN = -1


class Routes:
    """Made from the tasks of one partition, and again whenever these change.

    A *route* is the set of tasks that share a channel. Channels point to routes by number, so a
    chunk is split with one array look-up, whatever the number of policies and channels.
    """

    def __init__(self, tasks: Sequence[PolicyTask]) -> None:
        self._tasks = tasks
        self._trees: dict[str, FilterTree[int]] = {}
        for number, task in enumerate(tasks):
            tree = self._trees.setdefault(task.policy.owner, FilterTree())
            tree.add(number, *task.policy.topics)
        self._routes: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._route_of = np.full(0, _UNKNOWN, np.int32)

    def deliver(
        self, chunk: Chunk, channels: Sequence[Channel]
    ) -> Iterator[tuple[PolicyTask, NDArray[np.intp], Chunk]]:
        """For each task its messages: their indices in the chunk, ascending, and a chunk of them.

        A task gets nothing below its offset, for that it has absorbed already. Tasks with the same
        messages get the same chunk, so that they share the columns read from its payloads.
        """
        shared: dict[int, tuple[NDArray[np.intp], Chunk]] = {}
        for task, index in self._split(chunk, channels):
            if chunk.offset[0] < task.offset:
                index = index[chunk.offset[index] >= task.offset]
            if not len(index):
                continue
            if id(index) not in shared:
                shared[id(index)] = index, chunk.take(index)
            yield task, *shared[id(index)]

    def _split(
        self, chunk: Chunk, channels: Sequence[Channel]
    ) -> Iterator[tuple[PolicyTask, NDArray[np.intp]]]:
        """For each task the messages on its topics."""
        routes = self._of(chunk.channel, channels)
        pieces: dict[int, list[NDArray[np.intp]]] = {}
        for route in np.unique(routes).tolist():
            index = np.flatnonzero(routes == route)
            for number in self._routes[route]:
                pieces.setdefault(number, []).append(index)
        for number, found in pieces.items():
            task = self._tasks[number]
            index = found[0] if len(found) == 1 else np.sort(np.concatenate(found))
            if (names := chunk.sparse.only) is not None:
                meant = ("", task.policy.name)
                index = index[[names[row] in meant for row in index.tolist()]]
            yield task, index

    def _of(self, channel: Codes, channels: Sequence[Channel]) -> Codes:
        missing = len(channels) - len(self._route_of)
        if missing > 0:
            more = np.full(max(missing, len(self._route_of), 64), _UNKNOWN, np.int32)
            self._route_of = np.concatenate([self._route_of, more])
        routes: Codes = self._route_of[channel]
        unknown: Ints = np.unique(channel[routes == _UNKNOWN]).astype(np.int64)
        if len(unknown):
            for code in unknown.tolist():
                self._route_of[code] = self._find(channels[code])
            routes = self._route_of[channel]
        return routes

    def _find(self, channel: Channel) -> int:
        tree = self._trees.get(channel.owner)
        tasks = tuple(tree.match(channel.topic)) if tree else ()
        number = self._numbers.get(tasks)
        if number is None:
            number = self._numbers[tasks] = len(self._routes)
            self._routes.append(tasks)
        return number
