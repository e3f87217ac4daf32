"""Which lanes a channel's messages go to: found once per channel, then a table look-up."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.lane import Lane
from lakebed.keeper.stretch import Stretch
from lakebed.messages import Channel, Codes, Ints
from lakebed.policies.topics import FilterTree

_UNKNOWN = -1


class Routes:
    """Compiled from the policies in force; made anew when they change.

    A *route* is the set of lanes that share a channel. Channels point to routes by number, so a
    stretch is split with one array look-up, whatever the number of policies and channels.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._trees: dict[str, FilterTree[int]] = {}
        for place, lane in enumerate(lanes):
            tree = self._trees.setdefault(lane.policy.owner, FilterTree())
            tree.add(place, *lane.policy.topics)
        self._routes: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._route_of = np.full(0, _UNKNOWN, np.int32)

    def split(
        self, stretch: Stretch, channels: Sequence[Channel]
    ) -> Iterator[tuple[Lane, NDArray[np.intp]]]:
        """For each lane that gets any of these messages, their indices, ascending."""
        routes = self._of(stretch.channel, channels)
        pieces: dict[int, list[NDArray[np.intp]]] = {}
        for route in np.unique(routes).tolist():
            index = np.flatnonzero(routes == route)
            for place in self._routes[route]:
                pieces.setdefault(place, []).append(index)
        for place, found in pieces.items():
            lane = self._lanes[place]
            index = found[0] if len(found) == 1 else np.sort(np.concatenate(found))
            if stretch.only is not None:
                only = stretch.only[index]
                index = index[(only == "") | (only == lane.policy.name)]
            if len(index):
                yield lane, index

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
        places = tuple(tree.match(channel.topic)) if tree else ()
        number = self._numbers.get(places)
        if number is None:
            number = self._numbers[places] = len(self._routes)
            self._routes.append(places)
        return number
