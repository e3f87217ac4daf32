"""Decodes plain publishes, one or many, with bytes, indices and list appends only.

`make install` compiles this module by mypyc where it finds a C compiler and Python's headers. That
makes it about five times as fast; uncompiled it does the same.
"""

from collections.abc import Mapping
from typing import Any


def decode_plain(
    data: bytes,
    at: int,
    qos: int,
    kinds: bytes,
    five: bool,
    largest: int,
    known: "Mapping[bytes, Any]",
    targets: "list[Any]",
    payloads: "list[bytes]",
    packet_ids: "list[bytes]",
) -> int:
    """Append the publishes that begin at `data[at]`, up to the first that is not plain.

    Not plain are: another packet, another QoS, an unknown topic, a property, a length of more than
    one byte that is not in its shortest form, more than `largest` bytes, an incomplete packet.

    Args:
        kinds: the QoS of a PUBLISH by first byte; other packets have other numbers.
        five: whether a length of properties precedes the payload (MQTT 5).
        known: resolved topics, by the topic's bytes as in the packet, with its length prefix.

    Returns:
        the offset of the first packet that was not appended.
    """
    end = len(data)
    last = end - 1
    skip = (2 if qos else 0) + (1 if five else 0)
    while at < last:
        if kinds[data[at]] != qos:
            break
        size = data[at + 1]
        body = at + 2
        if size > 127:
            if body >= end or data[body] > 127 or data[body] == 0:
                break
            size = size - 128 + (data[body] << 7)
            body += 1
        stop = body + size
        if stop > end or size > largest or size <= 2:
            break
        name_end = body + 2 + (data[body] << 8 | data[body + 1])
        start = name_end + skip
        if start > stop or (five and data[start - 1]):
            break
        target = known.get(data[body:name_end])
        if target is None:
            break
        targets.append(target)
        payloads.append(data[start:stop])
        if qos:
            packet_ids.append(data[name_end : name_end + 2])
        at = stop
    return at


def single_plain(
    kinds: bytes,
    five: bool,
    largest: int,
    known: "Mapping[bytes, Any]",
    targets: "list[Any]",
    payloads: "list[bytes]",
    packet_ids: "list[bytes]",
    data: bytes,
) -> int:
    """Append the message of `data`, if `data` is exactly one plain publish with QoS 1.

    Returns:
        the length of each list then; or 0, and nothing is appended, for anything not plain (see
        `decode_plain`) and for a packet id of zero.
    """
    stop = len(data)
    if stop < 7 or kinds[data[0]] != 1:
        return 0
    size = data[1]
    body = 2
    if size > 127:
        if data[2] > 127 or data[2] == 0:
            return 0
        size = size - 128 + (data[2] << 7)
        body = 3
    if body + size != stop or size > largest:
        return 0
    name_end = body + 2 + (data[body] << 8 | data[body + 1])
    start = name_end + (3 if five else 2)
    if start > stop or (five and data[start - 1]):
        return 0
    if data[name_end] == 0 and data[name_end + 1] == 0:
        return 0
    target = known.get(data[body:name_end])
    if target is None:
        return 0
    targets.append(target)
    payloads.append(data[start:stop])
    packet_ids.append(data[name_end : name_end + 2])
    return len(payloads)
