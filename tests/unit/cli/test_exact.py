"""What was kept is shown as the server gives it, whatever it is."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.cli import exact
from lakebed.cli.output import plain

from .conftest import FakeServer, Reply, Run

NUMBERS = ["1.10", "1E400", "-0.0", "1e2", "9" * 5000, "0.1000000000000000055511151231257827"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("form", ["%s", "[%s]", '{"a": {"b": [1, %s]}}'])
def test_numbers_are_written_as_they_were(number: str, form: str) -> None:
    text = form.replace("%s", number)
    assert exact.dumps(exact.loads(text)) == text
    assert number in exact.dumps(exact.loads(text), indent=2)
    assert number in plain(exact.loads(text))


@pytest.mark.parametrize("number", NUMBERS)
def test_they_still_count(number: str) -> None:
    assert exact.loads(number) == pytest.approx(float(number))


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": "a\\ud800b"}'])
def test_half_a_surrogate_pair_stays_an_escape(text: str) -> None:
    exact.dumps(exact.loads(text)).encode()
    assert exact.dumps(exact.loads(text)) == text


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "{", ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        exact.loads(text)


_documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_documents, st.sampled_from([None, 2]))
def test_documents_are_written_as_the_library_does(document: object, indent: int | None) -> None:
    assert exact.dumps(document, indent) == json.dumps(document, ensure_ascii=False, indent=indent)


ANSWER = (
    b'{"records": [{"topic": "a", "time": "2026-01-01T00:00:00Z", "value": %b}], '
    b'"next_cursor": null}'
)
HARD = [
    b'"\\ud800 x"', b"9" * 5000, b"1E400", b"1.10", b'{"version": 1.10}', '"\U0001f600 é"'.encode(),
]  # fmt: skip


@pytest.mark.parametrize("value", HARD)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("form", ["table", "json", "last"])
def test_a_command_shows_whatever_was_kept(
    run: Run,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    value: bytes,
    encoding: str,
    form: str,
) -> None:
    server.on("GET", "/api/v1/records", Reply(200, ANSWER % value))
    server.on("GET", "/api/v1/last", Reply(200, ANSWER % value))
    out = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(out, encoding=encoding))
    command = ["query", "a", "--format", form] if form in ("table", "json") else ["last", "a"]
    assert run(*command).code == 0
    sys.stdout.flush()
    shown = out.getvalue()
    written = value.decode() if form == "json" else value.decode().strip('"')
    # JSON is UTF-8 wherever it goes; what else the terminal cannot write is an escape
    wanted = written.encode("utf-8" if form == "json" else encoding, "backslashreplace")
    assert wanted.replace(b" ", b"") in shown.replace(b" ", b"").replace(b"\n", b"")
