"""Makes a call that may hang on a thread of its own, so that callers can stop waiting."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Probe(Generic[T]):
    """Makes one call at a time: callers that ask while one runs wait for the same result.

    Any thread. A thread whose call hangs is abandoned when the process ends.

    Args:
        name: of the part that is called.
        ask: the call.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None
        self._since = 0.0

    def ask(self) -> Future[T]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked, self._since = Future(), time.monotonic()
                thread = threading.Thread(
                    target=self._run, args=(self._asked,), name=f"probe {self.name}", daemon=True
                )
                thread.start()
            return self._asked

    @property
    def age(self) -> float:
        """Seconds since the last call began."""
        return time.monotonic() - self._since

    def _run(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._ask())
        except BaseException as error:
            asked.set_exception(error)
