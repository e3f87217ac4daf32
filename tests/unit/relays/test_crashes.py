"""Processes that end at any moment: what was not saved is delivered again.

A process that dies saves nothing more: here its checkpoints are refused from a moment on, as if
another had claimed the partition, and what it delivers after that counts as well.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

import pytest

from lakebed.ports.relays import Delivery, Refusal, TargetUnavailable

from .conftest import World, soon

TOPICS = ("a", "b/1", "b/2", "c")
ROUNDS = 25


@pytest.mark.parametrize("exact", [True, False])
def test_nothing_is_lost_and_an_exact_target_has_everything_once_in_order(
    world: World, exact: bool
) -> None:
    dice = random.Random(7)
    place = world.place("hook")
    place.keeps = exact

    def answer(delivery: Delivery) -> Sequence[Refusal]:
        if dice.random() < 0.2:
            raise TargetUnavailable("busy")
        return ()

    place.answer = answer
    world.write("hook", batch=7)
    sent: dict[str, list[bytes]] = defaultdict(list)
    for round in range(ROUNDS):
        world.start()
        for topic in TOPICS:
            some = [b"%d.%d" % (round, i) for i in range(dice.randrange(60))]
            sent[topic] += some
            if some:
                world.send(topic, *some)
        soon(lambda: len(place.taken) > dice.randrange(1 + sum(map(len, sent.values()))))
        world.die()
    world.start()
    soon(lambda: all(_of(world, topic)[-1:] == sent[topic][-1:] for topic in TOPICS))
    for topic in TOPICS:
        got = _of(world, topic)
        if exact:
            assert got == sent[topic]
        assert list(dict.fromkeys(got)) == sent[topic]  # each first came in order


def _of(world: World, topic: str) -> list[bytes]:
    place = world.place("hook")
    with place.lock:
        return [payload or b"" for one, payload in place.taken if one == topic]
