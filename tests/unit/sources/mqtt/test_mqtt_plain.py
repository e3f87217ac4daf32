"""The loop that may be compiled does what its source says."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.sources.mqtt.codec import plain
from lakebed.sources.mqtt.codec.publish import publish

KINDS = bytes(head >> 1 & 3 if head >> 4 == 3 else 3 for head in range(256))
KNOWN = {len(name).to_bytes(2, "big") + name: name.decode() for name in (b"a", b"b/c", b"d" * 140)}


def _source() -> ModuleType:
    path = Path(plain.__file__).with_name("plain.py")
    spec = importlib.util.spec_from_file_location("plain_source", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = _source()
PACKETS = st.builds(
    lambda topic, payload, qos, version: publish(topic, payload, qos, 7, version=version),
    st.sampled_from(["a", "b/c", "d" * 140, "unknown"]),
    st.binary(max_size=300),
    st.integers(0, 2),
    st.sampled_from([4, 5]),
)


@given(
    st.lists(st.one_of(PACKETS, st.binary(max_size=5)), max_size=8).map(b"".join),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 5),
)
def test_compiled_and_plain_take_the_same_from_any_bytes(
    data: bytes, qos: int, five: bool, cut: int
) -> None:
    data = data[: max(0, len(data) - cut)]
    found = []
    for module in (plain, SOURCE):
        columns: tuple[list[str], list[bytes], list[bytes]] = ([], [], [])
        rest = module.decode_plain(data, 0, qos, KINDS, five, 200, KNOWN, *columns)
        found.append((rest, columns))
    assert found[0] == found[1]


@given(
    st.one_of(PACKETS, st.binary(max_size=400)),
    st.sampled_from([b"", b"", b"\0", b"\x32\0"]),
    st.booleans(),
    st.integers(0, 5),
)
def test_a_single_one_is_the_same_from_any_bytes_too(
    data: bytes, more: bytes, five: bool, cut: int
) -> None:
    data = data[: max(0, len(data) - cut)] + more
    found = []
    for module in (plain, SOURCE):
        columns: tuple[list[str], list[bytes], list[bytes]] = ([], [], [])
        count = module.single_plain(KINDS, five, 200, KNOWN, *columns, data)
        assert count == len(columns[0]) == len(columns[1]) == len(columns[2])
        found.append((count, columns))
    assert found[0] == found[1]


def test_what_is_compiled_is_of_the_newest_source() -> None:
    compiled = Path(plain.__file__)
    if compiled.suffix == ".py":
        pytest.skip("runs as plain Python here")
    assert compiled.stat().st_mtime >= compiled.with_name("plain.py").stat().st_mtime, (
        "tools/compile .venv/bin/python makes it anew"
    )
