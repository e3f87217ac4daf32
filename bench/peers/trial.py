"""One receiver, one broker, one load: at full speed, or with `kill -9` in the middle.

generator ──QoS 1──> Mosquitto ──QoS 1, kept session──> receiver ──> its store
a process of its own                                    measured     compared with what was sent
"""

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import load as generator
from bench.load import Load
from bench.peers.broker import Broker
from bench.peers.receiver import TOPICS, WARM, Job, Meter, Receiver, Stored
from bench.report import Figures

Make = Callable[[Path, int, Job], Receiver]
_VALUES = 4001  # distinct readings of the generator
_QUIET = 15.0  # seconds without progress, beside a window, after which nothing more is expected
_AFTER_WINDOW = 3.0  # seconds that a receiver has to write a window that has ended
_SETTLE = 3.0  # seconds from the first subscription to the warm-up, and from there to the load
_WARM_UP = 20_000  # messages, at half as many a second, before anything is measured
_POLL = (0.5, 0.1)  # seconds between two looks at a store: at first, and near the end
_DOWN = 2.0  # seconds between the kill and the next start


def at_full_speed(make: Make, load: Load, job: Job) -> Figures:
    """Cost, speed and memory; and that the store holds what was sent."""
    with tempfile.TemporaryDirectory(prefix="lakebed-peers-") as name, Broker(Path(name)) as broker:
        receiver = _started(make, Path(name), broker, job)
        load = replace(load, port=broker.port)
        meter = Meter(receiver.pid)
        try:
            sent = generator.run(load)
            ended = _wait(receiver, load.messages, job)
            _finish_window(job)
            receiver.stop()
        finally:
            _end(receiver)
            meter.finish()
        seconds = ended - sent.began
        return {
            "messages per CPU-second": load.messages / meter.cpu,
            "CPU µs per message": meter.cpu / load.messages * 1e6,
            "messages/s": load.messages / seconds,
            "accepted by the broker/s": load.messages / sent.seconds,
            "peak memory MiB": meter.peak_mib,
            **_compare(receiver.stored(), load, job),
        }


def through_a_kill(make: Make, load: Load, job: Job) -> Figures:
    """What of the messages that the broker took is in the store, once or more than once.

    The load has a rate; the receiver is killed in the middle and started again while it goes on.
    """
    with tempfile.TemporaryDirectory(prefix="lakebed-peers-") as name, Broker(Path(name)) as broker:
        receiver = _started(make, Path(name), broker, job)
        load = replace(load, port=broker.port)
        try:
            with ThreadPoolExecutor(1) as pool:
                sent = pool.submit(generator.run, load)
                time.sleep(load.messages / load.rate / 2)
                receiver.kill()
                time.sleep(_DOWN)
                receiver.start()
                sent.result()
            _wait(receiver, load.messages, job)
            _finish_window(job)
            receiver.stop()
        finally:
            _end(receiver)
        return _compare(receiver.stored(), load, job)


def check(load: Load) -> None:
    """Every message must be told from every other by its topic and value."""
    if load.messages > load.topics * _VALUES or gcd(load.topics, _VALUES) != 1:
        raise ValueError(f"at most {_VALUES} messages for each topic")


def _started(make: Make, folder: Path, broker: Broker, job: Job) -> Receiver:
    receiver = make(folder, broker.port, job)
    try:
        receiver.start()
        broker.wait_for_subscription(TOPICS)
    except BaseException:
        print((folder / "output.log").read_text(errors="replace"))
        _end(receiver)
        raise
    time.sleep(_SETTLE)
    generator.run(Load(broker.port, "none", _WARM_UP, topics=100, prefix=WARM, rate=_WARM_UP / 2))
    time.sleep(_SETTLE)
    return receiver


def _end(receiver: Receiver) -> None:
    with suppress(AssertionError):  # it never started
        receiver.kill()


def _wait(receiver: Receiver, messages: int, job: Job) -> float:
    """Until all are in the store or nothing has come for long; the time of the last progress."""
    best, when = -1, time.monotonic()
    target = messages + _WARM_UP
    while best < target:
        seen = receiver.seen()
        if seen > best:
            best, when = seen, time.monotonic()
        elif time.monotonic() - when > _QUIET + job.period:
            break
        time.sleep(_POLL[best > 0.9 * target])
    return when


def _finish_window(job: Job) -> None:
    """Sleep until the window that the last message fell into has ended and been written."""
    if job.period:
        time.sleep(job.period - time.time() % job.period)
    time.sleep(_AFTER_WINDOW)


def _compare(stored: Stored, load: Load, job: Job) -> Figures:
    numbers, cents = _sent(load)
    found = np.unique(stored.messages)
    figures: Figures = {
        "lost": load.messages - int(np.isin(found, numbers).sum()),
        "doubled": len(stored.messages) - len(found),
        "never sent": int((~np.isin(found, numbers)).sum()),
    }
    if job.period:
        figures["aggregates: messages off"] = stored.counted - load.messages
        figures["aggregates: sums off"] = (stored.cents - cents) / 100
    return figures


def _sent(load: Load) -> tuple[NDArray[np.int64], int]:
    """The number of every message, and the sum of all values in hundredths."""
    i = np.arange(load.messages)
    cents = i * 7919 % _VALUES + 1000
    assert cents[1] == round(generator.value(1) * 100)
    return i % load.topics * 1_000_000 + cents, int(cents.sum())
