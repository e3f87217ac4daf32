"""Repeats calls to a store that refuses, with growing pauses, until it answers.

Meanwhile its consumer absorbs nothing: memory stays bounded, and the journal grows on disk instead.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from lakebed.vocabulary.errors import Unavailable, UnknownFormat

T = TypeVar("T")
log = structlog.get_logger(__name__)

_LONGEST_PAUSE = 5.0  # seconds


class Stopped(Exception):
    """The consumer was told to give up while a store did not answer; nothing is lost by it."""


class Retry:
    """Of one consumer. Its thread calls `until_available`, any thread `give_up`.

    Args:
        first_pause: seconds; each pause is twice as long as the one before, up to 5 s.

    Attributes:
        failing: the store's last error while it refuses; empty otherwise.
    """

    def __init__(self, first_pause: float = 0.1) -> None:
        self._first_pause = first_pause
        self._given_up = threading.Event()
        self.failing = ""

    def give_up(self) -> None:
        """Stop repeating calls: the next one that fails raises `Stopped`."""
        self._given_up.set()

    def until_available(self, call: Callable[[], T]) -> T:
        """Call until no `Unavailable` is raised; other errors pass, and an `UnknownFormat`.

        Raises:
            Stopped: it was given up.
        """
        pause = self._first_pause
        while True:
            try:
                result = call()
            except UnknownFormat:
                raise
            except Unavailable as error:
                if not self.failing:
                    log.warning("store refuses, trying again", error=str(error))
                self.failing = str(error)
                if self._given_up.wait(pause):
                    raise Stopped from error
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self.failing:
                    log.info("store answers again")
                self.failing = ""
                return result
