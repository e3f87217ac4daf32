"""Syslog messages, as the RFCs and as devices write them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lakebed.sources.syslog.listener import syslog
from lakebed.sources.syslog.parsing import FACILITIES, SEVERITIES
from lakebed.sources.syslog.settings import SyslogSection
from lakebed.vocabulary.time_parsing import from_bsd, from_rfc3339
from lakebed.vocabulary.times import UNSET

NOW = from_rfc3339("2026-01-31T12:00:30Z")


def read(raw: bytes, **settings: Any) -> tuple[str, dict[str, Any], int]:
    message = syslog(SyslogSection(**settings)).read(raw, "192.0.2.9", NOW)
    return message.topic, json.loads(message.payload), message.event


def at(text: str) -> int:
    return from_rfc3339(text)


@pytest.mark.parametrize(
    ("raw", "topic", "event", "expected"),
    [
        # RFC 5424 section 6.5, the four examples
        (b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root'",
         "mymachine.example.com/su", "2003-10-11T22:14:15.003Z",
         {"severity": "crit", "facility": "auth", "msgid": "ID47", "message": "'su root'"}),
        (b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time",
         "192.0.2.1/myproc", "2003-08-24T12:14:15.000003Z",
         {"severity_code": 5, "facility_code": 20, "pid": "8710", "message": "%% It's time"}),
        (b'<165>1 2003-10-11T22:14:15.003Z h e - ID47 [exampleSDID@32473 iut="3"] \xef\xbb\xbfAn',
         "h/e", "2003-10-11T22:14:15.003Z",
         {"data": {"exampleSDID@32473": {"iut": "3"}}, "message": "An"}),
        (b'<165>1 2003-10-11T22:14:15.003Z h e - ID47 [a@1 k="v"][b@2 class="high"]',
         "h/e", "2003-10-11T22:14:15.003Z",
         {"data": {"a@1": {"k": "v"}, "b@2": {"class": "high"}}}),
        # escapes; a name that is given twice; an element without parameters
        (rb'<13>1 - h e - - [a k="q\"b\\c\]d\n" k="2"][empty] m', "h/e", None,
         {"data": {"a": {"k": ['q"b\\c]d\\n', "2"]}, "empty": {}}, "message": "m"}),
        (b"<13>1 - - - - - -", "192.0.2.9/-", None, {"severity": "notice"}),
        # what is not well-formed stays in the text
        (b'<13>1 - h e - - [a k="v] m', "h/e", None, {"message": '[a k="v] m'}),
        (b"<13>1 yesterday h e - - - m", "h/e", None, {"time": "yesterday", "message": "m"}),
        (b"<13>1 1911-01-01T00:00:00Z h e - - - m", "h/e", None, {"time": "1911-01-01T00:00:00Z"}),
        # RFC 3164 section 5.4
        (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "mymachine/su",
         "2025-10-11T22:14:15Z", {"severity": "crit", "message": "'su root' failed"}),
        (b"Use the BFG!", "192.0.2.9/-", None, {"facility": "user", "message": "Use the BFG!"}),
        (b"<165>Jan  9 10:52:01 TZ-6 sched[0]: x", "TZ-6/sched", "2026-01-09T10:52:01Z",
         {"pid": "0", "message": "x"}),
        (b"<13>Jan 31 12:00:00 sshd[77]: no host\n", "192.0.2.9/sshd", "2026-01-31T12:00:00Z",
         {"pid": "77", "message": "no host"}),
        (b"<13>2026-01-31T12:00:00.5+01:00 h a[1]: iso", "h/a", "2026-01-31T11:00:00.5Z",
         {"message": "iso"}),
        (b"<189>46: *Jan 31 12:00:00.123: %SYS-5-CONFIG_I: cisco", "192.0.2.9/%25SYS-5-CONFIG_I",
         "2026-01-31T12:00:00.123Z", {"app": "%SYS-5-CONFIG_I", "message": "cisco"}),
        (b"<13>Feb 29 12:00:00 h a: no leap year near", "h/a", None, {"time": "Feb 29 12:00:00"}),
        (b"<999>x", "192.0.2.9/-", None, {"message": "<999>x"}),
        (b"<13>Jan 31 12:00:00 a/b+# c/d: \xe4", "a%2Fb%2B%23/c%2Fd", "2026-01-31T12:00:00Z",
         {"message": "ä"}),
    ],
)  # fmt: skip
def test_a_message(raw: bytes, topic: str, event: str | None, expected: dict[str, Any]) -> None:
    found, payload, time = read(raw)
    assert found == f"syslog/{topic}"
    assert time == (UNSET if event is None else at(event))
    assert payload | expected == payload


def test_the_year_is_the_nearest_and_the_zone_that_of_the_settings() -> None:
    new_year = at("2026-01-01T00:00:05Z")
    assert from_bsd("Dec 31 23:59:59", new_year, "UTC") == at("2025-12-31T23:59:59Z")
    assert from_bsd("Jan  1 00:00:01", at("2025-12-31T23:59:59Z"), "UTC") == at(
        "2026-01-01T00:00:01Z"
    )
    assert from_bsd("Feb 29 12:00:00", at("2025-01-15T00:00:00Z"), "UTC") == at(
        "2024-02-29T12:00:00Z"
    )
    assert from_bsd("Oct 11 2003 22:14:15", new_year, "UTC") == at("2003-10-11T22:14:15Z")
    assert read(b"<13>Jan 31 12:00:00 h a: m", time_zone="Europe/Berlin")[2] == at(
        "2026-01-31T11:00:00Z"
    )


def test_a_template_says_the_topic() -> None:
    raw = b"<34>Oct 11 22:14:15 mymachine su: m"
    assert read(raw, topic="in/SEVERITY/APP/FACILITY")[0] == "in/crit/su/auth"
    for wrong in ("HOST/HOST", "a/+", ""):
        with pytest.raises(ValidationError):
            SyslogSection(topic=wrong)


@pytest.mark.parametrize("settings", [{"listen": ":1"}, {"tls_listen": ":1", "owner": "ann"},
                                      {"networks": ["everywhere"]}])  # fmt: skip
def test_settings_that_would_write_for_nobody_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SyslogSection(**settings)


_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.integers(0, 191), _TEXT, st.dictionaries(st.from_regex(r"\A[a-z@0-9]{1,8}\Z"), _TEXT))
def test_what_a_careful_sender_writes_is_read_back(
    priority: int, text: str, data: dict[str, str]
) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

    params = "".join(f' {name}="{escaped(value)}"' for name, value in data.items())
    raw = f"<{priority}>1 - host app 1 id [x@1{params}] {text}".encode()
    _, payload, _ = read(raw)
    assert payload["severity"] == SEVERITIES[priority % 8]
    assert payload["facility"] == FACILITIES[priority // 8]
    assert payload["data"]["x@1"] == data
    assert payload.get("message", "") == text.rstrip("\r\n\0").removeprefix("\ufeff")


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda text: f"<13>1 {text}".encode()))
def test_any_bytes_are_a_message(raw: bytes) -> None:
    read(raw)
    read(b"<13>Jan 31 12:00:00 " + raw)
