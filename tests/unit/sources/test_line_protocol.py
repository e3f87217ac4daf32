"""Line protocol becomes messages: each field one, as InfluxDB would read it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.http.problems import TooLarge
from lakebed.sources.http import line_protocol
from lakebed.sources.http.line_protocol import Way, decode
from lakebed.sources.http.ndjson import Decoded, Sender
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topic_templates import LINE_PROTOCOL, check_template
from lakebed.vocabulary.topics import check_topic


def channel(topic: str) -> Channel:
    check_topic(topic)
    return Channel("ann", topic)


def check_size(payload: bytes) -> bytes:
    if len(payload) > 100:
        raise ValueError("too long")
    return payload


SENDER = cast(Sender, SimpleNamespace(channel=channel, check_size=check_size, limit=100))


def read(body: str | bytes, precision: str = "ns", template: str = LINE_PROTOCOL) -> Decoded:
    raw = body.encode() if isinstance(body, str) else body
    return decode(raw, Way(SENDER, template, precision, {}))


def messages(body: str | bytes, **how: Any) -> list[tuple[str, bytes]]:
    found = read(body, **how)
    assert not found.rejected, found.rejected
    return [
        (one.topic, payload) for one, payload in zip(found.channels, found.payloads, strict=True)
    ]


def test_each_field_is_a_message_and_tags_are_in_the_order_of_their_keys() -> None:
    line = 'plant,room=1,host=a celsius=21.50,n=3i,u=4u,on=T,off=False,state="a b,c=\\"d\\" \\\\"'
    assert messages(line) == [
        ("plant/a/1/celsius", b"21.50"),
        ("plant/a/1/n", b"3"),
        ("plant/a/1/u", b"4"),
        ("plant/a/1/on", b"true"),
        ("plant/a/1/off", b"false"),
        ("plant/a/1/state", b'a b,c="d" \\'),
    ]


@pytest.mark.parametrize(
    ("line", "topic", "payload"),
    [
        ("m f=1", "m/f", b"1"),
        (r"a\,b\ c=d f=1", "a,b c=d/f", b"1"),
        (r"m,k\=\,\ =v\,\=\  f\ g=-1e-3", "m/v,= /f g", b"-1e-3"),
        (r"m\\,k=C:\dir f=1", "m\\,k=C:\\dir/f", b"1"),  # the second backslash escapes the comma
        ("m,k=C:\\x\\ y f=.5", "m/C:\\x y/f", b".5"),  # as it does the space
        ("m,path=/var/a%+#$ f=1", "m/%2Fvar%2Fa%25%2B%23%24/f", b"1"),
        ('m,k=5" f="x"', 'm/5"/f', b"x"),
        ('m f=""', "m/f", b""),
        ('m f="C:\\dir\\\\"', "m/f", b"C:\\dir\\"),
        ('m f="a\nb # c\n"', "m/f", b"a\nb # c\n"),
        ("m f=5. ", "m/f", b"5."),
        ("µ,ключ=дом f=1", "µ/дом/f", b"1"),
    ],
)
def test_names_and_values_are_read_as_influxdb_reads_them(
    line: str, topic: str, payload: bytes
) -> None:
    assert messages(line) == [(topic, payload)]


@pytest.mark.parametrize(
    "line",
    ["m", "m ", "m f", "m f=", "m f=1,", "m f=1 x", "m f=1 1.5", "m f=1 1 2", "m, f=1", "m,k f=1",
     "m,k= f=1", "m,a=1,a=2 f=1", "m f=NaN", "m f=inf", "m f=1x", "m f=9223372036854775808i",
     "m f=-1u", "m f=yes", 'm f="a', 'm f="a"b', "m =1", ",k=v f=1", "m f=1 99999999999999999999",
     'm f="' + "x" * 101 + '"'],
)  # fmt: skip
def test_a_bad_line_is_named_and_the_others_are_taken(line: str) -> None:
    found = read(f"a f=1\n{line}\nb f=2\n")
    assert [entry["line"] for entry in found.rejected] == [2]
    assert found.payloads == [b"1", b"2"]


def test_a_line_is_taken_whole_or_not_at_all() -> None:
    assert read("m a=1,b=x").payloads == []


def test_lines_are_counted_over_comments_blanks_carriage_returns_and_strings() -> None:
    body = '# c\r\n\r\n  a f="x\ny"\r\nbad\r\n#"\nb f=1\r\n\xff\n'.encode("latin-1")
    found = read(body + b'c \xff=1\nd f="\xff"')
    assert found.payloads == [b"x\ny", b"1"]
    assert [entry["line"] for entry in found.rejected] == [5, 8, 9, 10]


@pytest.mark.parametrize(
    ("precision", "time"),
    [("ns", 1769860800 * 10**9), ("n", 1769860800 * 10**9), ("us", 1769860800 * 10**6),
     ("u", 1769860800 * 10**6), ("ms", 1769860800 * 10**3), ("s", 1769860800),
     ("m", 1769860800 // 60), ("h", 1769860800 // 3600)],
)  # fmt: skip
def test_times_count_in_the_precision_of_the_request(precision: str, time: int) -> None:
    found = read(f"m f=1,g=2 {time}\nm f=3", precision)
    assert found.events == [1769860800_000000] * 2 + [UNSET]


def test_a_template_says_which_topics() -> None:
    line = "m,k=v,a=b f=1"
    assert messages(line, template="in/FIELD/MEASUREMENT")[0][0] == "in/f/m"
    assert messages(line, template="x/TAGVALUES/FIELD")[0][0] == "x/b/v/f"
    assert messages(line, template="{k}/FIELD/TAGVALUES")[0][0] == "v/f/b"
    assert messages(line, template="{none}/FIELD/TAGS")[0][0] == "-/f/a=b/k=v"


@pytest.mark.parametrize("template", ["", "MEASUREMENT", "FIELD/FIELD", "a/+/FIELD", "#/FIELD"])
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="t"):
        check_template(template)


def test_everything_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_protocol, "MOST_LINES", 3)
    monkeypatch.setattr(line_protocol, "MOST_FIELDS", 2)
    monkeypatch.setattr(line_protocol, "LONGEST_LINE", 40)
    with pytest.raises(TooLarge):
        read("\n\n\n\n")
    with pytest.raises(TooLarge):
        read("m a=1,b=2\nm a=1,b=2")
    for line in ("m a=1,b=1,c=1", "m,a=1,b=1,c=1 a=1", "m a=1" + " " * 40):
        assert read(line).refused == 1


# --- against a parser of one character after the other --------------------------------------------


def reference(body: str) -> list[tuple[str, str]] | None:
    """Topic and payload of each field of one line; None if it is bad."""
    at = 0

    def token(ends: str, escapable: str) -> str:
        nonlocal at
        text = ""
        while at < len(body) and body[at] not in ends:
            if body[at] == "\\" and body[at + 1 : at + 2] and body[at + 1] in escapable:
                at += 1
            text += body[at]
            at += 1
        return text

    def take(sign: str) -> bool:
        nonlocal at
        found = body[at : at + 1] == sign
        at += found
        return found

    measurement, tags = token(", \n", ", "), {}
    while take(","):
        key = token(",= \n", ",= ")
        if not take("="):
            return None
        value = token(",= \n", ",= ")
        if not key or not value or key in tags:
            return None
        tags[key] = value
    if not measurement or not take(" "):
        return None
    while take(" "):
        pass
    found = []
    while True:
        key = token(",= \n", ",= ")
        if not key or not take("=") or not take('"'):
            return None
        payload = token('"', '"\\')
        if not take('"'):
            return None
        found.append(
            ("/".join(map(escaped, (measurement, *(tags[k] for k in sorted(tags)), key))), payload)
        )
        if not take(","):
            break
    return found if not body[at:].strip(" ") and len(body[at:]) == body[at:].count(" ") else None


def escaped(text: str) -> str:
    return "".join(f"%{ord(sign):02X}" if sign in "%/+#$\n\r\t" else sign for sign in text)


PART = st.text(st.sampled_from('ab\\, ="#/%'), max_size=6)
PAIRS = st.lists(st.tuples(PART, PART), max_size=3)


@given(PART, PAIRS, PAIRS, st.booleans())
def test_it_reads_what_a_plain_parser_reads(
    name: str, tags: list[tuple[str, str]], fields: list[tuple[str, str]], newline: bool
) -> None:
    line = "m" + name + "".join(f",{key}={value}" for key, value in tags)
    line += " " + ",".join(f'{key}="{value}{chr(10) * newline}"' for key, value in fields)
    expected = reference(line)
    found = read(line)
    got = [
        (one.topic, payload.decode())
        for one, payload in zip(found.channels, found.payloads, strict=True)
    ]
    if expected is None:
        assert found.refused
    else:
        assert (got, found.refused) == (expected, 0)


NUMBERS = st.sampled_from(
    ["1", "-1.50", "+3", ".5", "5.", "1e9", "1.5E-3", "7i", "-7i", "7u", "9" * 18 + "i",
     "9" * 19 + "i", "t", "1.5i", "e5", "-", "", "1e", "1_0", "0x1", "1" * 101,
     '"a"', "1,", "1 ", " 1"]
)  # fmt: skip
TIMES = st.sampled_from(
    ["", " ", " 0", " 1769860800000000499", " 1769860800000000500", "  17", " -5", " 17\r", " 1_0",
     " " + "9" * 19, " " + "9" * 20, " 12 ", " x", "\r"]
)  # fmt: skip
SERIES = st.sampled_from(["m", "m,a=1", "m,a=1,b=2", "m\\,k", "m,a", " m", "#m", ""])
LINES = st.builds(
    lambda series, fields, time: f"{series} {','.join(f'{n}={v}' for n, v in fields)}{time}",
    SERIES, st.lists(st.tuples(st.sampled_from("fgh"), NUMBERS), max_size=3), TIMES,
)  # fmt: skip


@given(st.lists(LINES, max_size=8), st.sampled_from(["ns", "us", "s", "h"]))
def test_plain_lines_are_read_as_any_others(lines: list[str], precision: str) -> None:
    body = "\n".join(lines).encode()
    way = Way(SENDER, LINE_PROTOCOL, precision, {})
    names = [f"{series} {field}=1" for series in ("m", "m,a=1", "m,a=1,b=2") for field in "fgh"]
    decode("\n".join(names).encode(), way)  # from now on these series are known
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(line_protocol, "decode_lines", lambda _, at, *rest: at)
        expected = decode(body, way)
    assert decode(body, way) == expected


def test_bounds_hold_for_plain_lines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    way = Way(SENDER, LINE_PROTOCOL, "ns", {})
    assert not decode(b"m f=1", way).refused
    wide = b"m " + b",".join([b"f=1"] * 1001)
    found = decode(b"m f=2\n" + wide + b"\nm f=3", way)
    assert (found.payloads, found.refused) == ([b"2", b"3"], 1)
    monkeypatch.setattr(line_protocol, "MOST_LINES", 3)
    with pytest.raises(TooLarge):
        decode(b"m f=1,f=2\nm f=3,f=4", way)


ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in ",= "})
QUOTES = str.maketrans({sign: f"\\{sign}" for sign in '"\\'})
WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=("C",), exclude_characters="\\"),
    min_size=1,
    max_size=8,
)


@given(WORD, st.dictionaries(WORD, WORD, max_size=3), WORD, st.text(max_size=20))
def test_what_a_client_escapes_arrives(
    name: str, tags: dict[str, str], field: str, value: str
) -> None:
    name = f"m{name}"
    line = ",".join(
        [
            name.translate(ESCAPES).replace("\\=", "="),
            *(f"{key.translate(ESCAPES)}={tag.translate(ESCAPES)}" for key, tag in tags.items()),
        ]
    )
    line += f' {field.translate(ESCAPES)}="{value.translate(QUOTES)}" 1769860800000000000'
    topic = "/".join(map(escaped, (name, *(tags[key] for key in sorted(tags)), field)))
    assert messages(line) == [(topic, value.encode())]
