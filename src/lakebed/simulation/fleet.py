"""A fleet of simulated devices with realistic values.

A device is on a line of a plant. Its temperature follows the time of day with some noise, the
pressure is a random walk around 1013 hPa, the battery drains and is replaced, a door opens at
times, and rarely there is an alarm. The same seed gives the same values at the same times.

    telemetry  PREFIX/LINE/DEVICE/telemetry  {"ts", "celsius", "hectopascal", "battery"}
    state      PREFIX/LINE/DEVICE/state      running | idle | maintenance, when it changes
    events     events/door                   {"name", "device", "open", "time"}
    alarms     alarm/DEVICE                  {"device", "reason", "celsius", "time"}
"""

import json
import math
import random
from collections.abc import Iterator
from typing import Any

from lakebed.vocabulary.times import DAY, SECOND, Micros, to_rfc3339

LINES = ("north", "south", "east", "west")
_STATES = {"running": 0.80, "idle": 0.17, "maintenance": 0.03}
# mean seconds between two of each, for one device
_STATE_CHANGE = 120.0
_DOOR_CHANGE = 90.0
_ALARM = 600.0

Message = tuple[str, bytes]


class Device:
    """One device. Not thread-safe; the caller passes the time."""

    def __init__(self, number: int, seed: int, prefix: str = "plant") -> None:
        self._random = random.Random(f"{seed}/{number}")  # noqa: S311  not for secrets
        self.name = f"th-{number:02d}"
        self.topic = f"{prefix}/{LINES[number % len(LINES)]}/{self.name}"
        self._mean = self._random.uniform(17, 24)
        self._swing = self._random.uniform(2, 6)
        self._wander = 0.0
        self._pressure = self._random.gauss(1013, 4)
        self._battery = self._random.uniform(35, 100)
        self._state = ""
        self._open = False
        self._before: Micros | None = None

    def step(self, clock: Micros) -> list[Message]:
        """Return the messages at `clock`: always telemetry, the others at random times."""
        seconds = 1.0 if self._before is None else max(0.0, (clock - self._before) / SECOND)
        self._before = clock
        self._drift(seconds)
        celsius = self._celsius(clock)
        return [
            self._telemetry(clock, celsius),
            *self._state_change(seconds),
            *self._door(clock, seconds),
            *self._alarm(clock, seconds, celsius),
        ]

    def _drift(self, seconds: float) -> None:
        """Make an Ornstein-Uhlenbeck step: a random walk that returns to its mean."""
        pull = math.exp(-seconds / 600)
        spread = math.sqrt(1 - pull * pull)
        self._wander = self._wander * pull + 0.6 * spread * self._random.gauss(0, 1)
        self._pressure = (
            1013 + (self._pressure - 1013) * pull + 5 * spread * self._random.gauss(0, 1)
        )
        self._battery -= seconds / 3600  # a hundred hours from full to empty
        if self._battery < 5:
            self._battery = 100.0

    def _celsius(self, clock: Micros) -> float:
        day = clock % DAY / DAY
        # coldest at about 3 h, warmest at about 15 h UTC
        return self._mean - self._swing * math.cos(2 * math.pi * (day - 0.125)) + self._wander

    def _telemetry(self, clock: Micros, celsius: float) -> Message:
        value = {
            "ts": clock // 1000 / 1000,
            "celsius": round(celsius + self._random.gauss(0, 0.05), 2),
            "hectopascal": round(self._pressure, 1),
            "battery": round(self._battery, 1),
        }
        return f"{self.topic}/telemetry", _json(value)

    def _happens(self, seconds: float, mean: float) -> bool:
        """Whether an event that happens once in `mean` seconds does so in these seconds."""
        return self._random.random() < 1 - math.exp(-seconds / mean)

    def _state_change(self, seconds: float) -> Iterator[Message]:
        if self._state and not self._happens(seconds, _STATE_CHANGE):
            return
        others = {state: w for state, w in _STATES.items() if state != self._state}
        self._state = self._random.choices(list(others), list(others.values()))[0]
        yield f"{self.topic}/state", self._state.encode()

    def _door(self, clock: Micros, seconds: float) -> Iterator[Message]:
        if self._happens(seconds, _DOOR_CHANGE):
            self._open = not self._open
            event = {"name": "door", "device": self.name, "open": self._open}
            yield "events/door", _json({**event, "time": to_rfc3339(clock)})

    def _alarm(self, clock: Micros, seconds: float, celsius: float) -> Iterator[Message]:
        if self._happens(seconds, _ALARM):
            reason = self._random.choice(("too warm", "vibration", "no flow"))
            alarm = {"device": self.name, "reason": reason, "celsius": round(celsius, 2)}
            yield f"alarm/{self.name}", _json({**alarm, "time": to_rfc3339(clock)})


def fleet(count: int, seed: int, prefix: str = "plant") -> list[Device]:
    return [Device(number, seed, prefix) for number in range(1, count + 1)]


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
