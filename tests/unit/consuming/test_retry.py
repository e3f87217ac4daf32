"""A store that refuses is asked again, until it answers or nobody wants to know any more."""

import threading

import pytest

from lakebed.consuming.retry import Retry, Stopped
from lakebed.vocabulary.errors import StoreUnavailable, Superseded


def test_it_calls_until_the_store_answers_and_says_meanwhile_what_is_wrong() -> None:
    retry = Retry(first_pause=0.001)
    seen: list[str] = []

    def call() -> int:
        seen.append(retry.failing)
        if len(seen) < 4:
            raise StoreUnavailable(f"away {len(seen)}")
        return 7

    assert retry.until_available(call) == 7
    assert seen == ["", "away 1", "away 2", "away 3"]
    assert retry.failing == ""


def test_other_errors_pass() -> None:
    def call() -> None:
        raise Superseded("another")

    with pytest.raises(Superseded):
        Retry().until_available(call)


def test_once_it_is_given_up_a_store_is_asked_once_more_and_then_left() -> None:
    retry, calls = Retry(first_pause=60), threading.Semaphore(0)

    def call() -> None:
        calls.release()
        raise StoreUnavailable("away")

    ended = threading.Event()

    def run() -> None:
        with pytest.raises(Stopped):
            retry.until_available(call)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert calls.acquire(timeout=10)
    retry.give_up()
    assert ended.wait(10)
    thread.join()
    with pytest.raises(Stopped):
        retry.until_available(call)
