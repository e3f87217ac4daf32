"""`encoding`, `strip`, `map`, `decimal`: values as devices send them."""

import struct
from typing import Any

import pytest

from lakebed.policies.document import parse, to_document
from lakebed.policies.outcomes import Outcome as O  # noqa: N817  # the tables stay narrow
from lakebed.policies.picked import reader

ON: dict[str, Any] = {"map": {"ON": 1, "OFF": 0, True: 1, "false": 0, 2: 20}}

# (document, payload, the value or why there is none)
READ: list[tuple[dict[str, Any], bytes, float | str | O]] = [
    ({"strip": True}, b"15\0", 15.0),
    ({"strip": True}, b"\r\n 15 \0\0", 15.0),
    ({}, b"15\0", O.NOT_A_NUMBER),
    ({"type": "text", "strip": True}, b"ON\n", "ON"),
    ({"type": "text", "strip": True}, b"a\0b\0", O.NOT_TEXT),
    ({"type": "text"}, b"ON\n", "ON\n"),
    ({"type": "text", "strip": True, "at": "/s"}, b'{"s": " ON "}', "ON"),
    (ON, b"ON", 1.0),
    (ON, b"true", 1.0),
    (ON, b"false", 0.0),
    (ON, b"2", 20.0),
    (ON, b"3", 3.0),  # not in it: as it is
    (ON, b"on", O.NOT_A_NUMBER),
    (ON, b"\xff", O.NOT_A_NUMBER),
    (ON, b"ON\n", O.NOT_A_NUMBER),
    (ON | {"strip": True}, b"ON\n", 1.0),
    (ON | {"at": "/POWER"}, b'{"POWER": "OFF"}', 0.0),
    (ON | {"at": "/POWER"}, b'{"POWER": true}', 1.0),
    (ON | {"at": "/POWER"}, b'{"POWER": 2}', 20.0),
    (ON | {"at": "/POWER"}, b'{"POWER": null}', O.NOT_A_NUMBER),
    (ON | {"at": "/POWER"}, b"{}", O.MISSING_PATH),
    ({"type": "text", "map": {"0": "closed", "1": "open"}}, b"1", "open"),
    ({"type": "text", "map": {"true": "open"}, "at": "/c"}, b'{"c": true}', "open"),
    ({"decimal": ","}, b"21,5", 21.5),
    ({"decimal": ","}, b"-0,5", -0.5),
    ({"decimal": ","}, b"21.5", 21.5),
    ({"decimal": ","}, b"1.021,5", O.NOT_A_NUMBER),  # 1.021 or 1021.5: not guessed
    ({"decimal": ","}, b"1,021,5", O.NOT_A_NUMBER),
    ({}, b"21,5", O.NOT_A_NUMBER),
    ({"decimal": ",", "at": "/t"}, b'{"t": "21,5"}', 21.5),
    ({"encoding": "u8"}, b"\xff", 255.0),
    ({"encoding": "i8"}, b"\xff", -1.0),
    ({"encoding": "i16be"}, b"\xff\x00", -256.0),
    ({"encoding": "u16le"}, b"\xff\x00", 255.0),
    ({"encoding": "u64be"}, b"\xff" * 8, float(2**64 - 1)),
    ({"encoding": "f32le"}, struct.pack("<f", 21.5), 21.5),
    ({"encoding": "f64be"}, struct.pack(">d", 0.1), 0.1),
    ({"encoding": "f32le"}, b"21.5\n", O.NOT_A_NUMBER),
    ({"encoding": "f32le"}, b"", O.NOT_A_NUMBER),
    ({"encoding": "f32le"}, struct.pack("<f", float("nan")), O.NOT_FINITE),
    ({"type": "text", "encoding": "latin-1"}, b"21 \xb0C", "21 °C"),
    ({"type": "text", "encoding": "hex"}, b"\x00\xff", "00ff"),
    ({"type": "text", "encoding": "base64"}, b"\x00\xff", "AP8="),
    ({"type": "text", "encoding": "latin-1", "map": {"\xe4": "ae"}}, b"\xe4", "ae"),
]


@pytest.mark.parametrize(("more", "payload", "expected"), READ)
@pytest.mark.parametrize("others", [[], [b"1"], [b"\xfe", b'{"c": 1}']])
def test_a_value_is_prepared(
    more: dict[str, Any], payload: bytes, expected: float | str | O, others: list[bytes]
) -> None:
    base = {"name": "it", "topics": ["#"], "type": "number", "keep": "last_value"}
    column = reader(parse(base | more, "ann"))([*others, payload])
    outcome = column.outcomes[-1]
    if isinstance(expected, O):
        assert outcome == expected
    else:
        assert outcome == O.KEPT
        values: Any = column.texts if column.numbers is None else column.numbers
        assert values[-1] == expected


def test_a_document_with_all_of_it_reads_the_same_again() -> None:
    base = {"name": "it", "topics": ["#"], "type": "number", "keep": "last_value"}
    policy = parse(base | ON | {"strip": True, "decimal": ","}, "ann")
    assert parse(to_document(policy), "ann") == policy
    document = to_document(policy)
    assert document["map"] == {"2": 20, "OFF": 0, "ON": 1, "false": 0, "true": 1}
    binary = parse(base | {"encoding": "f32le"}, "ann")
    assert parse(to_document(binary), "ann") == binary
