"""What doctor makes of what it sees; each finding says what to do."""

import os
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from pydantic import ValidationError

from lakebed.cli import (
    findings,
    findings_clock,
    findings_limits,
    findings_sources,
    home,
    running,
)
from lakebed.cli.client import Server
from lakebed.diagnosis import journal, parts
from lakebed.diagnosis.finding import Finding, ok
from lakebed.runtime.checks import disks as findings_disk
from lakebed.runtime.checks.contradictions import contradictions
from lakebed.runtime.roles import parse
from lakebed.runtime.settings import Settings
from lakebed.vocabulary.times import DAY, MINUTE, now, to_rfc3339

Mount = namedtuple("Mount", "mountpoint fstype opts")
SOURCE = {"name": "s", "url": "mqtt://broker", "topics": ["#"]}


def said(found: list[Finding], state: str = "bad") -> list[str]:
    chosen = [finding for finding in found if finding.state == state]
    assert all(finding.advice for finding in chosen)
    return [f"{finding.part} {finding.text}" for finding in chosen]


def test_limits_and_parked_messages_are_told_with_names() -> None:
    answers = {
        "/api/v1/owners": {"owners": [{"owner": "plant"}, {"owner": "club"}]},
        "plant": {"near": "messages 30/1s", "used": 0.91, "units": [
            {"unit": "shed", "near": "bytes 1024/1s", "used": 1.2},
            {"unit": "barn", "near": None, "used": 0.1},
        ]},
        "club": {"near": None, "used": 0.0, "units": []},
    }  # fmt: skip

    class Asked:
        def get(self, path: str, **parameters: str) -> dict[str, Any]:
            return answers[parameters.get("owner", path)]

    server = cast(Server, Asked())
    part = {"ok": True, "message": "1 owners", "owners_near": 1, "units_near": 1}
    found = list(findings_limits.near(server, part))
    assert said(found, "note") == [
        "limits owner plant uses 91% of messages 30/1s; unit shed of plant uses 120% of"
        " bytes 1024/1s"
    ]
    assert list(findings_limits.near(server, {"ok": True, "message": ""})) == []
    parked = list(findings._part("parked", {"ok": True, "message": "4 expire", "waiting": 9}))
    assert said(parked, "note") == ["parked 4 expire, waiting 9"]
    (well,) = findings._part("parked", {"ok": True, "waiting": 9})
    assert well.state == "ok"


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"http": {"listen": "127.0.0.1:7"}, "mqtt": {"listen": "127.0.0.1:7"}}, "mqtt.listen"),
        ({"http": {"tls_key": "k.pem"}}, "http.tls_key"),
        ({"mqtt": {"tls_listen": ":8883"}}, "mqtt.tls_listen"),
        ({"http": {"max_body": "1MiB"}, "limits": {"payload": "2MiB"}}, "http.max_body"),
        ({"journal": {"limit": "512KiB"}}, "journal.limit"),
        ({"journal": {"limit": "100MiB"}}, "keeper.buffer_bytes"),
        ({"mqtt": {"session_expiry": 7 * DAY}}, "mqtt.session_expiry"),
        ({"sources": [{**SOURCE, "qos": 2, "session_expiry": 7 * DAY}]}, "sources s: session"),
        ({"journal": {"url": "memory:"}}, "journal.url"),
        ({"journal": {"url": "sqlite:x.db"}, "catalog": {"url": "sqlite:x.db"}}, "catalog.url"),
        ({"sources": [SOURCE, {**SOURCE, "client_id": "other"}]}, "sources: 2 are called s"),
        ({"sources": [{**SOURCE, "client_id": "c"}, {**SOURCE, "name": "t", "client_id": "c"}]},
         "sources: 2 join broker as c"),
        ({"sources": [{**SOURCE, "url": "mqtt://localhost:1883"}]}, "this very server"),
        ({"auth": {"emqx_api": "http://emqx:18083"}}, "auth.emqx_api_key"),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_found(given: dict[str, Any], key: str) -> None:
    (text,) = said(list(contradictions(Settings.model_validate(given))))
    assert key in text


def test_the_defaults_contradict_nothing() -> None:
    assert list(contradictions(Settings())) == []


def test_ports_that_the_system_chooses_are_not_the_same() -> None:
    given = {"http": {"listen": "127.0.0.1:0"}, "mqtt": {"listen": "127.0.0.1:0"}}
    assert list(contradictions(Settings.model_validate(given))) == []


def test_a_port_open_to_others_without_tls_is_worth_a_word() -> None:
    given = {"http": {"listen": "0.0.0.0:8080"}}
    (text,) = said(list(contradictions(Settings.model_validate(given))), "note")
    assert "in the clear" in text


def test_a_source_whose_owner_has_a_name_of_an_earlier_version_is_worth_a_word() -> None:
    given = {"sources": [{**SOURCE, "owner": "Plant_A"}]}
    (text,) = said(list(contradictions(Settings.model_validate(given))), "note")
    assert "'Plant_A'" in text


def test_a_source_needs_an_owner() -> None:
    with pytest.raises(ValidationError, match="not empty"):
        Settings.model_validate({"sources": [{**SOURCE, "owner": ""}]})


# --- disks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "state", "word"),
    [
        ("ext4", "rw,relatime", "ok", "ext4"),
        ("ext4", "rw,nobarrier", "bad", "nobarrier"),
        ("ext3", "rw,barrier=0", "bad", "barrier=0"),
        ("tmpfs", "rw", "bad", "memory"),
        ("nfs4", "rw", "bad", "network"),
        ("overlay", "rw", "note", "container"),
    ],
)
def test_a_file_system_that_keeps_no_promise_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, options: str, state: str, word: str
) -> None:
    mounts = [Mount("/", "other", "rw"), Mount(str(tmp_path), kind, options)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    found = list(findings_disk.disks(Settings(home=tmp_path)))
    (disk,) = [finding for finding in found if finding.part == "disk"]
    assert disk.state == state
    assert word in disk.text


def test_a_home_that_others_may_read_is_worth_a_word(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert said(list(findings_disk.disks(_at(tmp_path))), "note") == []
    tmp_path.chmod(0o755)
    (text,) = said(list(findings_disk.disks(_at(tmp_path))), "note")
    assert "open to other users (0755)" in text


def test_an_fsync_that_does_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # read once by the dynamic linker, at the start of a process: this one goes on as before
    monkeypatch.setattr(os, "environ", {"LD_PRELOAD": "/usr/lib/libeatmydata.so"})
    assert any("libeatmydata" in text for text in said(list(findings_disk.disks(_at(tmp_path)))))


@pytest.mark.parametrize(
    ("free", "files", "state"),
    [
        (2**30, 10**6, "ok"),
        (2**28, 10**6, "note"),
        (2**20, 10**6, "bad"),
        (2**30, 10, "bad"),
        (2**30, 10_000, "note"),
    ],
)
def test_a_disk_that_fills_up_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, files: int, state: str
) -> None:
    usage, stat = (
        namedtuple("U", "total used free"),
        namedtuple("V", "f_bavail f_frsize f_files f_favail"),
    )
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(2**40, 0, free))
    monkeypatch.setattr("os.statvfs", lambda _: stat(free >> 12, 1 << 12, 10**7, files))
    settings = Settings.model_validate(
        {"home": tmp_path, "journal": {"limit": "256MiB"}, "limits": {"disk_free": "64MiB"}}
    )
    (space,) = [f for f in findings_disk.disks(settings) if f.part == "space"]
    assert space.state == state
    assert bool(space.advice) == (state != "ok")


def _at(home: Path) -> Settings:
    return Settings(home=home)


# --- clock ----------------------------------------------------------------------------------------


def test_a_clock_away_from_that_of_the_file_system_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(list(findings_clock.clock(tmp_path))) == []
    real = findings_clock.time.time
    monkeypatch.setattr(findings_clock.time, "time", lambda: real() - 3600)
    (text,) = said(list(findings_clock.clock(tmp_path)))
    assert "+3600" in text


def test_a_clock_that_is_absurd_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_clock, "now", lambda: 0)
    assert len(said(list(findings_clock.clock(tmp_path)))) == 1


@pytest.mark.parametrize(("kept", "state"), [(True, "ok"), (False, "note"), (None, "ok")])
def test_a_clock_that_nothing_keeps_right_is_worth_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool | None, state: str
) -> None:
    monkeypatch.setattr(findings_clock, "_synchronized", lambda: kept)
    (finding,) = findings_clock.clock(tmp_path)
    assert finding.state == state


def test_the_kernel_can_be_asked_who_keeps_the_clock() -> None:
    assert findings_clock._synchronized() in (True, False, None)


class Answers:
    """A server that has one last value, so many microseconds ahead."""

    def __init__(self, ahead: int) -> None:
        self._time = to_rfc3339(now() + ahead)

    def get(self, path: str, **asked: Any) -> Any:
        if path == "/api/v1/tokens":
            return {"tokens": [{"owner": "admin"}, {"owner": "plant"}]}
        if path == "/api/v1/policies":
            return {"policies": [{"name": "now", "keep": "last_value"}]}
        assert asked["filter"] == "#"
        ours = asked["owner"] == "plant" and self._time >= asked["from"]
        return {"records": [{"topic": "a", "time": self._time}] if ours else []}


@pytest.mark.parametrize(
    ("ahead", "state"), [(2 * DAY, "bad"), (DAY // 2, "note"), (MINUTE, None), (-DAY, None)]
)
def test_last_values_of_the_future_are_told_with_what_to_do(ahead: int, state: str | None) -> None:
    found = list(findings_clock.future(cast(Server, Answers(ahead)), Settings()))
    assert [finding.state for finding in found] == [state] * (state is not None)
    for finding in found:
        assert "1 topics of plant" in finding.text
        assert "lakebed forget TOPIC --from now --owner plant" in finding.advice


class ManyPolicies(Answers):
    """Each of 250 policies has two pages of records of the future, each of one topic."""

    asked: int = 0

    def get(self, path: str, **asked: Any) -> Any:
        if path == "/api/v1/policies":
            names = [f"p{i}" for i in range(250)] if asked["owner"] == "plant" else []
            return {"policies": [{"name": name, "keep": "archive"} for name in names]}
        if path != "/api/v1/records":
            return super().get(path, **asked)
        self.asked += 1
        page = asked.get("cursor", "1")
        record = {"topic": f"{asked['policy']}/{page}", "time": self._time}
        return {"records": [record], "next_cursor": "2" if page == "1" else None}


def test_records_of_the_future_are_looked_for_in_all_policies_and_pages() -> None:
    server = ManyPolicies(2 * DAY)
    (finding,) = findings_clock.future(cast(Server, server), Settings())
    assert "501 topics of plant" in finding.text  # and the last value
    assert server.asked == 500


def test_policies_that_there_was_no_time_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ManyPolicies(2 * DAY)
    monkeypatch.setattr(findings_clock.time, "monotonic", lambda: float(server.asked))
    *_, finding = findings_clock.future(cast(Server, server), Settings())
    assert finding.state == "note"
    assert "239 policies were not asked" in finding.text


def test_messages_from_the_future_tell_that_the_clock_went_back() -> None:
    (text,) = said(list(parts.durability("journal", {"ahead": 3600.0, "fsync": "FULL"})))
    assert "3600 s in the future" in text
    assert list(parts.durability("journal", {"ahead": 0.2, "fsync": "EXTRA"})) == []


@pytest.mark.parametrize("mode", ["off", "NORMAL", "synchronous_commit off", "off for window"])
def test_a_store_that_does_not_fsync_is_found(mode: str) -> None:
    (text,) = said(list(parts.durability("catalog", {"fsync": mode})))
    assert mode in text


# --- the journal's readers ------------------------------------------------------------------------

KEEPER = {"name": "keeper", "behind": 9, "age": 5.0, "live": True, "held_by": "ann/slow@3"}
WHOLE = {"messages": 0, "salvaged": False}


@pytest.mark.parametrize(
    ("changes", "full", "state", "word"),
    [
        ({}, 0, "ok", "9 messages behind"),
        ({"behind": 0, "age": None}, 0, "ok", "has read everything"),
        ({"age": 7200.0}, 0.1, "note", "ann/slow@3"),  # a long buffer, and plenty of room
        ({"age": 7200.0}, 0.8, "bad", "ann/slow@3"),
        ({"age": 90.0}, 0.8, "bad", "ann/slow@3"),
        ({"name": "relay", "age": 7200.0, "held_by": None}, 0, "bad", "does not advance"),
        ({"name": "relay", "live": False, "held_by": None}, 0, "note", "nobody reads"),
        ({"name": "relay", "live": False, "age": 7200.0, "held_by": None}, 0, "bad", "nobody"),
        ({"name": "relay", "live": False, "behind": 0, "age": None}, 0, "ok", "nothing waits"),
    ],
)
def test_a_consumer_that_stands_still_is_found(
    changes: dict[str, Any], full: float, state: str, word: str
) -> None:
    pressure = {"full": full, "by": "retention"} if full else None
    answer = {"consumers": [{**KEEPER, **changes}], "pressure": pressure, "damage": WHOLE}
    (finding,) = journal.consumers(answer)
    assert finding.state == state
    assert word in finding.text
    if state != "ok":
        assert finding.advice
    if "nobody" in word:
        assert "drop-consumer relay" in finding.advice


def test_a_partition_without_a_keeper_is_found_where_something_waits_in_it() -> None:
    parts = [
        {"partition": number, "owner": owner, "lag": lag}
        for number, (owner, lag) in enumerate([("k1:17", 5), (None, 0), (None, 70)])
    ]
    (finding,) = journal.partitions({"partitions": parts})
    assert (finding.state, finding.part) == ("bad", "partition 2")
    assert "70 messages wait" in finding.text


def test_damage_says_how_to_acknowledge_it() -> None:
    (finding,) = journal.damage({"damage": {"messages": 7, "salvaged": False}})
    assert (finding.state, "journal acknowledge" in finding.advice) == ("bad", True)
    assert list(journal.damage({"damage": WHOLE})) == []


# --- what a running server says -------------------------------------------------------------------


def test_what_a_listener_lost_is_told() -> None:
    part = {"ok": True, "message": "7 messages were lost since the start", "lost": 7}
    (text,) = said(list(findings._part("syslog", part)), "note")
    assert "7 messages were lost" in text
    assert said(list(findings._part("syslog", {"ok": True, "lost": 0})), "note") == []


def test_sparkplug_that_could_not_be_read_is_told_with_what_to_do() -> None:
    part = {"ok": True, "joined": True, "kept_raw": 3, "before_birth": 3, "seq_gaps": 0}
    (text,) = said(list(findings._part("source floor", part)), "note")
    assert "before_birth 3" in text
    assert said(list(findings._part("source floor", part | {"kept_raw": 0})), "note") == []


def test_a_server_that_may_open_few_files_is_told_with_what_to_do() -> None:
    part = {"ok": True, "message": "this process may open 256 files", "refused": 3, "files": 256}
    (text,) = said(list(findings._part("connections", part)))
    assert "256 files" in text
    (text,) = said(list(findings._part("connections", part | {"refused": 0})), "note")
    assert "256 files" in text  # as before the start, while nobody was refused
    well = {"ok": True, "message": "", "refused": 0}
    assert said(list(findings._part("connections", well))) == []


CLUSTER = {
    "journal": {"url": "kafka://k:9092/t"}, "catalog": {"url": "postgresql://p/l"},
    "series": {"url": "clickhouse://c:8123"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("gateway", {"http", "mqtt", "catalog", "journal"}),
        ("keeper", {"http", "catalog", "series", "journal"}),
        ("gateway,keeper", {"http", "mqtt", "catalog", "series", "journal"}),
    ],
)
def test_of_a_role_only_what_it_needs_is_looked_at(
    role: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens(part: str, *_: Any) -> Iterator[Finding]:
        yield ok(part, "opens")

    monkeypatch.setattr(findings, "_opened", opens)
    given = {**CLUSTER, "http": {"listen": ":0"}, "mqtt": {"listen": ":0"}}
    found = list(findings._start(Settings.model_validate(given), parse([role])))
    assert {finding.part for finding in found} - {"files"} == expected
    assert said(found) == []


def test_embedded_stores_that_other_roles_need_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_stores", lambda *_: iter(()))
    given = {**CLUSTER, "series": {"url": "chdb:series"}, "http": {"listen": ":0"}}
    (text,) = said(list(findings._start(Settings.model_validate(given), parse(["keeper"]))))
    assert "series.url" in text


def test_the_limit_of_open_files_is_compared_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    (text,) = said(list(findings._descriptors(Settings())), "note")
    assert "enough for 3968 connections, and mqtt.max_connections is 20000" in text


@pytest.mark.parametrize(
    ("scheme", "name"), [("sqlite", "SQLite"), ("postgresql", "PostgreSQL"), ("chdb", "series")]
)
def test_a_store_that_does_not_fsync_is_told_by_its_own_name(scheme: str, name: str) -> None:
    (finding,) = parts.durability("catalog", {"fsync": "off"}, scheme)
    assert name in finding.advice
    assert ("PostgreSQL" in finding.advice) == (scheme == "postgresql")


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("127.0.0.1:9999", "http://127.0.0.1:9999"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        ("[::1]:9999", "http://[::1]:9999"),
        ("127.0.0.1:0", None),
    ],
)
def test_a_server_that_is_not_ready_yet_is_found_at_its_own_port(
    tmp_path: Path, listen: str, url: str | None
) -> None:
    running._write_first_addresses(
        Settings.model_validate({"home": tmp_path, "http": {"listen": listen}})
    )
    found = home.running_on(tmp_path)
    assert (None if found is None else found.http) == url


def test_a_home_of_somebody_else_is_told_and_not_guessed_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    (finding,) = findings.examine(tmp_path, None)
    assert finding.state == "bad"
    assert "belongs to another user" in finding.text
    assert "as that user" in finding.advice


class Strangers:
    """A server whose source did not store some messages."""

    def get(self, path: str, **_: Any) -> Any:
        assert path == "/api/v1/sources"
        examples = [{"topic": f"t/{n}", "reason": "unknown"} for n in range(9)]
        counts = {"blocked": 2, "unknown": 30}
        return {"sources": [{"name": "site", "not_stored": counts, "examples": examples}]}


def test_messages_of_units_that_nobody_knows_are_told_with_examples() -> None:
    found = list(findings_sources.not_stored(cast(Server, Strangers())))
    blocked, unknown = said(found, "note")
    assert blocked.startswith("source site 2 messages")
    assert "30 messages" in unknown
    assert "t/0, t/1" in unknown
    assert "t/5" not in unknown  # a line stays a line


def test_a_broker_whose_topics_are_of_no_source_is_worth_a_word() -> None:
    given: dict[str, Any] = {"auth": {"emqx_secret": "s" * 16}}
    (text,) = said(list(contradictions(Settings.model_validate(given))), "note")
    assert "auth.emqx_secret" in text
    given["sources"] = [SOURCE]
    assert list(contradictions(Settings.model_validate(given))) == []
