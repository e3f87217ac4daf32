"""Decodes and encodes the data types of MQTT (version 5, section 1.5), with all bounds checked."""

from lakebed.sources.mqtt.codec.reasons import malformed

V31 = 3
V3 = 4
V5 = 5
"""Protocol levels as CONNECT carries them: 3 is MQTT 3.1, 4 is 3.1.1."""

VARINT_MAXIMUM = 268_435_455
UINT32_MAXIMUM = 2**32 - 1
PACKET_ROOM = 2**17
"""Bytes allowed for topic and properties, in addition to the largest payload."""


class Reader:
    """Reads the body of one packet: data[at:end]."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def __len__(self) -> int:
        return self.end - self.at

    def byte(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    raise malformed("a variable byte integer is longer than it needs to be")
                return value
        raise malformed("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        """Read well-formed UTF-8 without U+0000 (section 1.5.4)."""
        return decode_text(self.binary())

    def take(self, count: int) -> bytes:
        start = self.at
        self.at += count
        if self.at > self.end:
            raise malformed("a packet ends in the middle of a field")
        return self.data[start : self.at]

    def packet_id(self) -> int:
        """Read a packet identifier, which is never zero (section 2.2.1)."""
        value = self.u16()
        if not value:
            raise malformed("a packet identifier is zero")
        return value

    def finish(self) -> None:
        if self.at != self.end:
            raise malformed("a packet has bytes behind its last field")


def decode_text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not well-formed UTF-8") from None
    if "\0" in text:
        raise malformed("a string contains U+0000")
    return text


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    if value > VARINT_MAXIMUM:
        raise ValueError(f"{value} does not fit a variable byte integer")
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def binary(value: bytes) -> bytes:
    if len(value) > 65535:
        raise ValueError(f"{len(value)} bytes do not fit a field of at most 65535")
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    return binary(value.encode())


def packet(head: int, *parts: bytes) -> bytes:
    """Encode a control packet: fixed header (section 2.1) and body."""
    body = b"".join(parts)
    return bytes((head,)) + varint(len(body)) + body
