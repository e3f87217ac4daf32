"""Asks something that may hang, on a thread that nobody has to wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Probe(Generic[T]):
    """One question at a time: while it is not answered, all who ask wait for the same answer.

    Any thread. The thread of a question that hangs is left behind when the process ends.

    Args:
        name: of what is asked.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None

    def ask(self) -> Future[T]:
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                thread = threading.Thread(
                    target=self._run, args=(self._asked,), name=f"probe {self.name}", daemon=True
                )
                thread.start()
            return self._asked

    def _run(self, asked: Future[T]) -> None:
        try:
            asked.set_result(self._ask())
        except BaseException as error:
            asked.set_exception(error)
