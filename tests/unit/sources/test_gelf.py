"""GELF: chunks in any order, bounded; documents as they were sent."""

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.listening import listening

from lakebed.sources.gelf import chunks
from lakebed.sources.gelf.chunks import Chunks, decompress
from lakebed.sources.gelf.listener import gelf
from lakebed.sources.gelf.settings import GelfSection
from lakebed.sources.listening.format import Cut, Frame
from lakebed.vocabulary.times import UNSET


def cut(message: bytes, *places: int, id: bytes = b"12345678") -> list[bytes]:
    """A message as chunks that end at these places."""
    ends = [0, *sorted(places), len(message)]
    pieces = [message[start:stop] for start, stop in pairwise(ends)]
    head = b"\x1e\x0f" + id
    return [head + bytes((i, len(pieces))) + piece for i, piece in enumerate(pieces)]


def put_together(made: Chunks, datagrams: list[bytes], at: float = 0.0) -> list[Frame]:
    found = [made.take(one, "192.0.2.9 1", at) for one in datagrams]
    return [frame for frame in found if frame is not None]


def reason(frame: Frame | None) -> str:
    assert isinstance(frame, Cut)
    return frame.reason


_PACKS = st.sampled_from([bytes, gzip.compress, zlib.compress])


@given(st.data(), st.binary(min_size=1, max_size=500), _PACKS)
def test_chunks_come_together_in_any_order_and_twice(
    data: st.DataObject, text: bytes, pack: Callable[[bytes], bytes]
) -> None:
    message = pack(b"{" + text)
    places = data.draw(st.sets(st.integers(1, len(message)), max_size=20))
    datagrams = cut(message, *places)
    shuffled = data.draw(st.permutations(datagrams))
    made = Chunks(10_000)
    assert put_together(made, [*shuffled[:-1], *shuffled[:-1], shuffled[-1]]) == [b"{" + text]
    assert made.expire(100.0) == 0


def test_messages_of_two_senders_do_not_mix() -> None:
    made = Chunks(10_000)
    one, other = cut(b"{one}", 2), cut(b"{other}", 2)
    assert made.take(one[0], "a 1", 0.0) is None
    assert made.take(other[1], "a 2", 0.0) is None
    assert made.take(one[1], "a 1", 0.0) == b"{one}"
    assert made.take(other[0], "a 2", 0.0) == b"{other}"


def test_what_stays_incomplete_is_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Chunks(10_000)
    first = cut(b"{first}", 3)
    made.take(first[0], "a 1", 0.0)
    assert made.expire(chunks.WAIT - 0.1) == 0
    assert made.expire(chunks.WAIT) == 1
    assert made.take(first[1], "a 1", chunks.WAIT) is None  # it begins another
    monkeypatch.setattr(chunks, "MOST_PENDING", 3)
    for number in range(5):
        made.take(cut(b"{}", 1, id=b"%08d" % number)[0], "a 1", 6.0)
    assert made.expire(6.0) == 3
    monkeypatch.setattr(chunks, "MOST_BYTES", 10)
    made.take(cut(b"x" * 20, 9, id=b"abcdefgh")[0], "a 1", 6.0)
    assert made._bytes <= 10


def test_wrong_chunks_and_bombs_are_refused() -> None:
    made = Chunks(1_000)
    for wrong in (b"\x1e\x0f", b"\x1e\x0f12345678\x00\x00", b"\x1e\x0f12345678\x05\x05x",
                  b"\x1e\x0f12345678\x00\xffx"):  # fmt: skip
        assert reason(made.take(wrong, "a 1", 0.0)) == "bad_request"
    big = cut(b"x" * 1_500, 700)
    assert made.take(big[0], "a 1", 0.0) is None
    assert reason(made.take(big[1], "a 1", 0.0)) == "too_large"
    assert made._bytes == 0
    for bomb in (gzip.compress(bytes(10**7)), zlib.compress(bytes(10**7))):
        assert reason(decompress(bomb, 1_000)) == "too_large"
        assert reason(decompress(bomb[:-20], 10**8)) == "bad_request"
    assert reason(decompress(b"\x1f\x8bnot gzip", 1_000)) == "bad_request"


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=30).map(lambda b: b"\x1e\x0f" + b)))
def test_any_datagrams_are_frames_or_refused(datagrams: list[bytes]) -> None:
    made = Chunks(100)
    for number, datagram in enumerate(datagrams):
        made.take(datagram, "a 1", float(number))


def read(document: object, topic: str = "gelf/HOST") -> tuple[str, bytes, int]:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return gelf(GelfSection(topic=topic)).read(raw, "192.0.2.9", 0)


def test_a_document_is_stored_as_it_was_sent() -> None:
    raw = b'{"version":"1.1","host":"a/b","short_message":"x","timestamp":1769860800.25,"_n":1.10}'
    assert read(raw) == ("gelf/a%2Fb", raw, 1769860800_250000)
    assert read(raw + b"\n", "x/{_n}/HOST/{_none}")[0] == "x/1.1/a%2Fb/-"
    assert read({"short_message": "x"})[::2] == ("gelf/192.0.2.9", UNSET)
    for odd in ("soon", -5, 1e300, [1], {}, True):
        assert read({"host": 7, "timestamp": odd})[::2] == ("gelf/192.0.2.9", UNSET)


@pytest.mark.parametrize("wrong", [b"", b"text", b"[]", b'"x"', b"\xff", b'{"a":"\xff"}',
                                   b'{"x":' * 100_000, b'{"host":"a"'])  # fmt: skip
def test_what_is_no_document_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="it is"):
        read(wrong)


def test_a_port_takes_datagrams_and_a_stream_of_nul_ended_documents() -> None:
    local = "127.0.0.1:0"
    section = GelfSection.model_validate({"listen": local, "udp_listen": local, "owner": "ann"})

    async def run() -> None:
        async with listening(gelf, section) as site:
            await site.send(b'{"host":"a","short_message":"1\\n"}\0{"host":"b"}\0nothing\0')
            message = gzip.compress(b'{"host":"c"}')
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for datagram in (*cut(message, 5), *cut(b'{"host":"d"}', 3)[:1]):
                    sender.sendto(datagram, ("127.0.0.1", site.udp_port))
            await site.until(lambda: len(site.messages) == 3)
            assert {topic for topic, _ in site.messages} == {"gelf/a", "gelf/b", "gelf/c"}
            await site.until(lambda: site.intake.refusals.total["gelf", "bad_request"] == 1)
            udp = site.listener._udp
            assert udp is not None
            udp._clock = lambda: float("inf")
            udp.count_lost()
            assert site.listener.stats.lost["incomplete"] == 1

    asyncio.run(run())
