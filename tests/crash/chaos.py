"""Faults that happen to processes, several at a time, and what heals each of them.

strike ──> kill ────── wait ──> start       (a thread each, so that faults overlap)
       ├─> pause ───── wait ──> resume      a zombie that wakes up
       ├─> stop ────── wait ──> start       as by its operator
       ├─> join ────── wait ──> stop        one more keeper, for a while
       └─> rush ────── wait ──> kill, stop  one that does not get to its work

Every kind of fault happens at least once, the rest as the dice fall.
"""

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from tests.broker import Mosquitto
from tests.cluster import Cluster, Member, Victims
from tests.server import eventually

_AT_ONCE = 4  # processes that are not well
_NEW = 0.6  # share of faults of a kind that has not been yet, while there is one
_PAUSES = ((0.3, 3.0), (5.0, 12.0), (15.0, 60.0))  # seconds; sessions end after three
_OFTEN = (5, 4, 1)
_STOP = 60.0  # seconds on a busy machine; ten are promised
_NO_STORE = 3  # exit code: a store was away at the start
_JOINING = 4.0  # seconds after which a keeper joins its group, about
_RUSHED = (0, _NO_STORE, -signal.SIGTERM)  # the last: before it handles signals


class Fault(NamedTuple):
    """One that can happen now.

    Attributes:
        kind: what happens to which kind of process.
        name: what happens to whom.
    """

    kind: str
    name: str
    weight: float
    begin: Callable[[], None]


@dataclass(eq=False)
class Victim:
    """A process with what can happen to it: pairs of what harms and what heals.

    Attributes:
        stalls: whether messages stand still on their way while it is not well.
    """

    name: str
    faults: dict[str, tuple[Callable[[], object], Callable[[], object]]]
    weight: int = 3
    stalls: bool = False
    ill: bool = field(default=False, init=False)


def of_member(member: Member, name: str, stop: Callable[[], object]) -> Victim:
    """A member that is started again is not waited for: it may be harmed while it starts."""
    faults = {
        "kill": (member.kill, member.spawn),
        "pause": (member.pause, member.resume),
        "stop": (stop, member.spawn),
    }
    if name.startswith("keeper"):
        faults["kill with its home"] = (partial(_kill_with_home, member), member.spawn)
    return Victim(name, faults, stalls=name.startswith("gateway"))


def _kill_with_home(member: Member) -> None:
    """As a pod whose home is an emptyDir; what it said stays, for the test."""
    member.kill()
    for path in member.home.iterdir():
        if path.name != "output.log":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def of_servers(on: Victims, mqtt: Mosquitto) -> list[Victim]:
    kafka, clickhouse, postgres = on.broker, on.clickhouse, on.postgres
    return [
        Victim(
            "kafka",
            {"kill": (kafka.kill, kafka.start), "pause": (kafka.pause, kafka.resume)},
            weight=2,
            stalls=True,
        ),
        Victim(
            "clickhouse",
            {
                "kill": (clickhouse.kill, clickhouse.start),
                "pause": (clickhouse.pause, clickhouse.resume),
            },
            weight=2,
        ),
        # it writes down its sessions when it is stopped, not when it is killed
        Victim("mosquitto", {"restart": (mqtt.stop, mqtt.start)}, weight=2),
        Victim("postgres", {"kill": (postgres.crash, postgres.start)}, weight=2),
    ]


def _lengths(dice: random.Random) -> Iterator[tuple[float, float]]:
    """How long pauses last: each length once, then often short ones."""
    yield from dice.sample(_PAUSES, len(_PAUSES))
    while True:
        yield dice.choices(_PAUSES, _OFTEN)[0]


class Chaos:
    """Attributes:
    struck: what has happened, `WHAT NAME` -> how often.
    ended: members that ended by themselves, because a store was away when they started.
    guests: keepers that came, worked, and left.
    slowest_stop: seconds from SIGTERM to the end, the folder of who was stopped, and who was not
        well then.
    """

    def __init__(
        self,
        cluster: Cluster,
        members: dict[str, Member],
        on: Victims,
        dice: random.Random,
        stalled: Callable[[], None],
        died: Callable[[], None],
        mqtt: Mosquitto,
    ) -> None:
        self.struck: Counter[str] = Counter()
        self.ended: list[str] = []
        self._cluster, self._members = cluster, members
        self._guests = 0
        self._victims = [
            *(
                of_member(member, name, partial(self._stop, member))
                for name, member in members.items()
            ),
            *of_servers(on, mqtt),
        ]
        self._dice, self._stalled, self._died = dice, stalled, died
        self._missing = {fault.kind for fault in self._possible()}
        self._lengths = _lengths(dice)
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._over = threading.Event()
        self.guests = 0
        self.slowest_stop: tuple[float, str, list[str]] = (0.0, "", [])

    def rage(self, faults: int, pace: tuple[float, float]) -> None:
        """Let so many faults happen, and each kind.

        Args:
            pace: seconds between two: least and most.
        """
        while self.struck.total() < faults or self._missing:
            until = time.monotonic() + self._dice.uniform(*pace)
            self._strike()
            while time.monotonic() < until:
                self._look_after()
                time.sleep(0.1)
        self.calm()

    def calm(self) -> None:
        """Until everybody is well again."""
        while any(thread.is_alive() for thread in self._threads):
            self._look_after()
            time.sleep(0.1)
        if self._errors:
            raise self._errors[0]
        for member in self._members.values():
            eventually(partial(self._is_ready, member), 120)

    def _is_ready(self, member: Member) -> bool:
        self._look_after()
        member.wait_ready()  # or it has ended, for want of a store that is back by now
        return True

    def close(self) -> None:
        """At once: nobody is harmed or healed any more when it returns."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _strike(self) -> None:
        if sum(victim.ill for victim in self._victims) >= _AT_ONCE:
            return
        possible = self._possible()
        missing = [fault for fault in possible if fault.kind in self._missing]
        if missing and self._dice.random() < _NEW:
            possible = missing
        fault = self._dice.choices(possible, [fault.weight for fault in possible])[0]
        self._missing.discard(fault.kind)
        self.struck[fault.name] += 1
        fault.begin()

    def _possible(self) -> list[Fault]:
        faults = [
            Fault(
                f"{what} {victim.name.split()[0]}",
                f"{what} {victim.name}",
                victim.weight / len(victim.faults),
                partial(self._strike_at, victim, what),
            )
            for victim in self._victims
            if not victim.ill
            for what in sorted(victim.faults)
        ]
        for how in ("kill", "stop"):
            name = f"rush keeper, {how}"
            faults.append(Fault(name, name, 1, partial(self._rush_soon, name, how)))
        if not self._guests:
            faults.append(Fault("join keeper", "join keeper", 2, self._visit_soon))
        return faults

    def _strike_at(self, victim: Victim, what: str) -> None:
        length = next(self._lengths) if what == "pause" else (0, 2.0)
        victim.ill = True
        seconds = self._dice.uniform(*length)
        self._begin(f"{what} {victim.name}", self._harm, victim, what, seconds)

    def _rush_soon(self, name: str, how: str) -> None:
        self._begin(name, self._rush, self._dice.uniform(0, 2 * _JOINING), how)

    def _visit_soon(self) -> None:
        self._guests += 1
        self._begin("join keeper", self._visit, self._dice.uniform(4, 15))

    def _begin(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            try:
                work(*arguments)
            except BaseException as error:
                self._errors.append(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _harm(self, victim: Victim, what: str, seconds: float) -> None:
        harm, heal = victim.faults[what]
        harm()
        self._died()
        self._over.wait(seconds)
        heal()
        self._died()
        victim.ill = False

    def _visit(self, seconds: float) -> None:
        """One more keeper takes its share, and leaves."""
        guest = self._cluster.member("keeper")
        try:
            guest.start()
        except AssertionError as error:  # a store was away, for too long or at the wrong moment
            print(f"a guest did not come: {error}")
            guest.close()
        else:
            self._over.wait(seconds)
            self._stop(guest)
            assert guest.exit_code == 0, f"a guest left with {guest.exit_code}\n{guest.output}"
            self.guests += 1
        self._guests -= 1

    def _rush(self, seconds: float, how: str) -> None:
        """One more keeper that is killed or stopped while it starts, or while it joins."""
        guest = self._cluster.member("keeper")
        guest.spawn()
        self._over.wait(seconds)
        if how == "kill":
            guest.kill()
        else:
            self._stop(guest)
            ended = guest.exit_code
            assert ended in _RUSHED, f"a guest left with {ended}\n{guest.output}"

    def _stop(self, member: Member) -> None:
        began = time.monotonic()
        ill = [victim.name for victim in self._victims if victim.ill]
        if member.exit_code is None:
            member.stop(_STOP)
        took = round(time.monotonic() - began, 1)
        self.slowest_stop = max(self.slowest_stop, (took, member.home.name, ill))

    def _look_after(self) -> None:
        """What a supervisor does: who has ended by itself is started again."""
        if any(victim.ill and victim.stalls for victim in self._victims):
            self._stalled()
        for victim in self._victims:
            member = self._members.get(victim.name)
            if member is not None and not victim.ill and member.exit_code is not None:
                self._note(victim.name, member)
                member.spawn()

    def _note(self, name: str, member: Member) -> None:
        if member.exit_code:
            self.ended.append(name)
            print(f"{name} ended with {member.exit_code}:\n{member.output[-1500:]}")
            assert member.exit_code == _NO_STORE, f"{name} ended with {member.exit_code}"
