"""Decodes plain series of remote write, with bytes, indices and list appends only.

    TimeSeries of 1.0: labels = 1, samples = 2          of 2.0: labels_refs = 1, samples = 2
    Sample:            value = 1 (double), timestamp = 2 (int64)

Plain is a series whose channel is known, whose samples are finite numbers at times that are known,
and that has nothing else. Whatever is not plain, or not even protobuf, is left to the caller.

`make install` compiles this module by mypyc where it finds a C compiler and Python's headers. That
makes it about five times as fast; uncompiled it does the same. The encoding is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Any

_double = Struct("<d").unpack_from


def varint(body: bytes, at: int, end: int) -> "tuple[int, int]":
    """The number that begins at `at`, and the offset behind it; -1 where it does not end."""
    value = 0
    shift = 0
    while at < end:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            break
    return 0, -1


def labels_end(body: bytes, at: int, end: int) -> int:
    """The offset behind the fields with number 1 and bytes that a series begins with."""
    while at < end and body[at] == 10:
        size, start = varint(body, at + 1, end)
        if start < 0 or start + size > end:
            break
        at = start + size
    return at


def symbols_of(body: bytes) -> "list[str] | None":
    """The symbols of a request of 2.0; None where it holds what is neither symbol nor series.

    Raises:
        UnicodeDecodeError: one is no text.
    """
    found: list[str] = []
    at = 0
    end = len(body)
    while at < end:
        tag = body[at]
        if tag != 34 and tag != 42:
            return None
        size, start = varint(body, at + 1, end)
        if start < 0 or start + size > end:
            return None
        at = start + size
        if tag == 34:
            found.append(body[start:at].decode())
    return found


def _samples(
    body: bytes,
    at: int,
    end: int,
    times: "Mapping[int, int]",
    largest: int,
    payloads: "list[bytes]",
    events: "list[int]",
) -> int:
    """Append the samples that stand from `at` to `end`; returns how many, or -1 if one is unusual.

    Those before an unusual one are appended.
    """
    count = 0
    while at < end:
        if body[at] != 18:
            return -1
        size, place = varint(body, at + 1, end)
        if place < 0 or place + size > end:
            return -1
        stop = at = place + size
        value = 0.0
        time = 0
        if place + 9 <= stop and body[place] == 9:
            value = _double(body, place + 1)[0]
            place += 9
        if place < stop and body[place] == 16:
            time, place = varint(body, place + 1, stop)
        if place != stop:
            return -1
        event = times.get(time)
        if event is None or value - value != 0.0:
            return -1
        text = repr(value)
        if text.endswith(".0"):
            text = text[:-2]
        if len(text) > largest:
            return -1
        payloads.append(text.encode())
        events.append(event)
        count += 1
    return count


def decode_series(
    body: bytes,
    at: int,
    symbols: "list[str] | None",
    known: "Mapping[Any, Any]",
    times: "Mapping[int, int]",
    largest: int,
    most: int,
    channels: "list[Any]",
    payloads: "list[bytes]",
    events: "list[int]",
) -> "tuple[int, int]":
    """Append the samples of series that begin at `body[at]`, up to the first that is not plain.

    Args:
        symbols: of a request of 2.0, whose series are known by their labels as texts; None for 1.0,
            whose series are known by their labels as they are encoded.
        known: channels of series.
        times: event times by time stamp.
        largest: bytes of a payload.
        most: messages in `payloads`.

    Returns:
        the offset of the first field that was not taken, and how many series were.
    """
    taken = 0
    end = len(body)
    own = 10 if symbols is None else 42
    while at < end:
        tag = body[at]
        if symbols is not None and tag == 34:  # it is in `symbols`
            size, start = varint(body, at + 1, end)
            at = start + size
            continue
        if tag != own:
            break
        size, start = varint(body, at + 1, end)
        stop = start + size
        if start < 0 or stop > end:
            break
        if symbols is None:
            place = labels_end(body, start, stop)
            target = known.get(body[start:place])
        else:
            if start == stop or body[start] != 10:
                break
            size, place = varint(body, start + 1, stop)
            labels_stop = place + size
            if place < 0 or labels_stop > stop:
                break
            texts: list[str] = []
            while 0 <= place < labels_stop:
                reference = body[place]
                if reference < 128:
                    place += 1
                else:
                    reference, place = varint(body, place, labels_stop)
                if reference >= len(symbols):
                    place = -1
                    break
                texts.append(symbols[reference])
            if place < 0:
                break
            target = known.get(tuple(texts))
        if target is None:
            break
        before = len(payloads)
        count = _samples(body, place, stop, times, largest, payloads, events)
        if count < 0 or len(payloads) > most:
            del payloads[before:]
            del events[before:]
            break
        for _ in range(count):
            channels.append(target)
        taken += 1
        at = stop
    return at, taken
