"""Sparkplug B: births say what data mean, whatever comes between them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.principals import of_token

from lakebed.limits.book import LimitBook
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.runtime.settings import Settings
from lakebed.sources.mqtt.client.stored_topics import check_stored
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.server.admission import sparkplug_of
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.sparkplug import births, messages
from lakebed.sources.mqtt.sparkplug import sparkplug_b_pb2 as tahu
from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topic_templates import SPARKPLUG

T = 1_769_860_800_000  # ms
LIMITS = LimitBook(longest_topic=200)


class Host:
    """What is read of what comes."""

    def __init__(self, path: Path | None = None, template: str = SPARKPLUG, of: str = "b") -> None:
        self.read = SparkplugMessages(
            "ann", template, of, path, lambda topic: check_stored(topic, LIMITS), 1_000
        )
        self.read.births.read()

    def take(self, topic: str, raw: bytes, qos: int = 0, ids: list[str] | None = None) -> Run[Any]:
        packets = [b"\0\1"] if qos else []
        return self.read.sort(Run(qos, [Channel("ann", topic)], [raw], packets, None, ids))

    def messages(self, topic: str, raw: bytes) -> list[tuple[str, bytes]]:
        run = self.take(topic, raw)
        return [(c.topic, payload) for c, payload in zip(run.targets, run.payloads, strict=True)]

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in self.read.counts.items() if count}


def message(seq: int | None, *metrics: dict[str, Any], timestamp: int = T) -> bytes:
    made = tahu.Payload(timestamp=timestamp)
    if seq is not None:
        made.seq = seq
    for one in metrics:
        made.metrics.add(**one)
    return made.SerializeToString()


def metric(name: str = "", alias: int | None = None, kind: int = tahu.Double, **value: Any) -> Any:
    found = {"name": name} if name else {}
    return found | ({} if alias is None else {"alias": alias}) | {"datatype": kind} | value


BD = metric("bdSeq", kind=tahu.Int64, long_value=3)
NBIRTH = message(0, BD, metric("Inlet/Temperature", 7, double_value=20.5))
DBIRTH = message(1, metric("speed", 8, tahu.Int32, int_value=2**32 - 5))


def born(path: Path | None = None) -> Host:
    host = Host(path)
    host.messages("spBv1.0/plant/NBIRTH/press", NBIRTH)
    host.messages("spBv1.0/plant/DBIRTH/press/motor", DBIRTH)
    return host


def test_births_and_data_become_a_message_for_each_metric() -> None:
    host = Host()
    assert host.messages("spBv1.0/plant/NBIRTH/press", NBIRTH) == [
        ("plant/press/$online", b"true"), ("plant/press/bdSeq", b"3"),
        ("plant/press/Inlet/Temperature", b"20.5"),
    ]  # fmt: skip
    assert host.messages("spBv1.0/plant/DBIRTH/press/motor", DBIRTH) == [
        ("plant/press/motor/$online", b"true"), ("plant/press/motor/speed", b"-5"),
    ]  # fmt: skip
    data = message(2, {"alias": 7, "double_value": 21.0, "timestamp": T + 250}, {"alias": 7,
                   "double_value": 22.0})  # fmt: skip
    run = host.take("spBv1.0/plant/NDATA/press", data, 1, ["x"])
    assert [c.topic for c in run.targets] == ["plant/press/Inlet/Temperature"] * 2
    assert (run.payloads, run.event) == ([b"21.0", b"22.0"], [(T + 250) * 1000, T * 1000])
    assert run.ids == ["x", "x#1"]  # none of them is a duplicate of the other
    assert host.messages("spBv1.0/plant/DDATA/press/motor", message(3, metric("speed", kind=0,
                         int_value=9))) == [("plant/press/motor/speed", b"9")]  # fmt: skip
    assert host.counts() == {"births": 2, "metrics": 6}


def test_data_before_its_birth_is_kept_as_it_came() -> None:
    host = Host()
    data = message(5, {"alias": 7, "double_value": 21.0})
    for topic in ("spBv1.0/plant/NDATA/press", "spBv1.0/plant/DDATA/press/motor"):
        assert host.messages(topic, data) == [(topic, data)]
    host.messages("spBv1.0/plant/NBIRTH/press", NBIRTH)
    topic = "spBv1.0/plant/DDATA/press/motor"  # its device was not born with it
    assert host.messages(topic, data) == [(topic, data)]
    assert host.counts()["before_birth"] == host.counts()["kept_raw"] == 3


def test_of_an_unknown_alias_the_others_are_read_and_the_whole_is_kept() -> None:
    host = born()
    data = message(2, {"alias": 99, "double_value": 1.0}, {"alias": 7, "double_value": 2.0})
    topic = "spBv1.0/plant/NDATA/press"
    assert host.messages(topic, data) == [("plant/press/Inlet/Temperature", b"2.0"), (topic, data)]


def test_a_death_tells_that_node_and_devices_are_away() -> None:
    host = born()
    assert host.messages("spBv1.0/plant/DDEATH/press/motor", message(2)) == [
        ("plant/press/motor/$online", b"false")
    ]
    host.messages("spBv1.0/plant/DBIRTH/press/motor", DBIRTH)
    stale = message(None, metric("bdSeq", kind=tahu.Int64, long_value=2))
    topic = "spBv1.0/plant/NDEATH/press"
    assert host.messages(topic, stale) == [(topic, stale)]  # of a connection before this birth
    run = host.take(topic, message(None, BD, timestamp=T - 10**6))
    assert [c.topic for c in run.targets] == ["plant/press/$online", "plant/press/motor/$online"]
    assert run.payloads == [b"false"] * 2
    assert run.event == [UNSET] * 2  # its timestamp is that of the connect
    data = message(2, {"alias": 7, "double_value": 1.0})
    assert host.messages("spBv1.0/plant/NDATA/press", data)[0][0].startswith("spBv1.0/")
    assert host.counts()["deaths"] == 2
    assert host.counts()["stale_deaths"] == 1


def test_gaps_are_counted_and_data_read_on() -> None:
    host = born()
    topic = "spBv1.0/plant/NDATA/press"
    for seq in (2, 3, 5, 6, 255):
        assert len(host.messages(topic, message(seq, {"alias": 7, "double_value": 1.0}))) == 1
    host.messages(topic, message(0, {"alias": 7, "double_value": 1.0}))  # 0 follows 255
    assert host.counts()["seq_gaps"] == 2
    host.messages("spBv1.0/plant/NBIRTH/press", NBIRTH)
    host.messages(topic, message(1, {"alias": 7, "double_value": 1.0}))
    assert host.counts()["seq_gaps"] == 2
    assert host.read.figures()["seq_gaps"] == 2


def test_commands_are_not_taken_and_others_stay_as_they_are() -> None:
    host = born()
    for topic in ("spBv1.0/plant/NCMD/press", "spBv1.0/plant/DCMD/press/motor"):
        assert host.messages(topic, message(None)) == []
    assert host.counts()["commands"] == 2
    for topic in ("spBv1.0/STATE/host", "plant/other", "spBv1.0/a/NDATA/b/c", "spBv1.0/x"):
        assert host.messages(topic, b"as it is") == [(topic, b"as it is")]
    run = host.take("spBv1.0/plant/NDATA/press", DBIRTH, 2)
    assert (len(run), run.packet_ids) == (1, [b"\0\1"])


def test_births_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "births"
    first = born(path)
    first.read.births._write(first.read.births._snapshot())
    data = message(77, {"alias": 7, "double_value": 1.0})
    topic = "spBv1.0/plant/NDATA/press"
    again = Host(path)
    assert again.messages(topic, data) == [("plant/press/Inlet/Temperature", b"1.0")]
    assert again.counts() == {"metrics": 1}  # what was missed meanwhile, nobody knows
    assert Host(path, of="another broker").messages(topic, data) == [(topic, data)]
    path.write_text("{")
    assert Host(path).messages(topic, data) == [(topic, data)]


def test_topics_follow_the_template_and_hold_no_wildcards() -> None:
    host = Host(template="in/NODE/METRIC")
    birth = message(0, metric("a+b/#c", 1, double_value=1.0), metric("long" * 90, 2))
    made = host.messages("spBv1.0/pl ant/NBIRTH/pr$ess", birth)
    assert made[:2] == [("in/pr%24ess/$online", b"true"), ("in/pr%24ess/a%2Bb/%23c", b"1.0")]
    assert made[2][0] == "spBv1.0/pl ant/NBIRTH/pr$ess"  # one has no topic: it is kept too


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(births, "MOST_METRICS", 5)
    monkeypatch.setattr(messages, "MOST_METRICS", 3)
    host = Host()
    for number in range(4):
        host.messages(f"spBv1.0/plant/NBIRTH/n{number}", NBIRTH)  # two metrics each
    assert list(host.read.births.nodes) == ["plant/n2", "plant/n3"]
    many = message(1, *[{"alias": 7, "double_value": 1.0}] * 4)
    assert host.messages("spBv1.0/plant/NDATA/n3", many) == [("spBv1.0/plant/NDATA/n3", many)]


@pytest.mark.parametrize(
    ("given", "payload"),
    [
        (metric("x", kind=tahu.Int8, int_value=0xFFFFFFFF), b"-1"),
        (metric("x", kind=tahu.Int8, int_value=0xFF), b"-1"),
        (metric("x", kind=tahu.Int64, long_value=2**64 - 2), b"-2"),
        (metric("x", kind=tahu.UInt64, long_value=2**64 - 2), b"18446744073709551614"),
        (metric("x", kind=tahu.Float, float_value=0.1), b"0.1"),  # not 0.10000000149011612
        (metric("x", kind=tahu.Double, double_value=float("nan")), b"nan"),
        (metric("x", kind=tahu.Boolean, boolean_value=False), b"false"),
        (metric("x", kind=tahu.String, string_value="ä"), "ä".encode()),
        (metric("x", kind=tahu.DateTime, long_value=T), b"%d" % T),
        (metric("x", kind=tahu.Bytes, bytes_value=b"\0\xff"), b"\0\xff"),
        (metric("x", is_null=True), b"null"),
        (metric("x", kind=tahu.Int16Array, bytes_value=b"\xff\xff\1\0"), b"[-1,1]"),
        (metric("x", kind=tahu.FloatArray, bytes_value=b"\0\0\0\x3f"), b"[0.5]"),
        (metric("x", kind=tahu.BooleanArray, bytes_value=b"\3\0\0\0\xa0"), b"[true,false,true]"),
        (metric("x", kind=tahu.StringArray, bytes_value=b"a\0b\0"), b'["a","b"]'),
    ],
)
def test_values_are_read_by_their_type(given: dict[str, Any], payload: bytes) -> None:
    made = Host().messages("spBv1.0/g/NBIRTH/n", message(0, given))
    assert made[1:] == [("g/n/x", payload)]


def test_data_sets_and_templates_are_json() -> None:
    birth = tahu.Payload(timestamp=T, seq=0)
    table = birth.metrics.add(name="table", datatype=tahu.DataSet).dataset_value
    table.columns.extend(["a", "b"])
    table.types.extend([tahu.Int8, tahu.String])
    row = table.rows.add()
    row.elements.add(int_value=0xFF)
    row.elements.add(string_value="x")
    inner = birth.metrics.add(name="motor", datatype=tahu.Template).template_value
    inner.metrics.add(name="speed", datatype=tahu.Int32, int_value=3)
    made = dict(Host().messages("spBv1.0/g/NBIRTH/n", birth.SerializeToString()))
    assert made["g/n/table"] == b'{"columns":["a","b"],"rows":[[-1,"x"]]}'
    assert made["g/n/motor"] == b'{"speed":3}'
    row.elements.add(int_value=1)  # more than there are columns
    made = dict(Host().messages("spBv1.0/g/NBIRTH/n", birth.SerializeToString()))
    assert "spBv1.0/g/NBIRTH/n" in made


def test_at_the_endpoint_a_sender_must_be_allowed_to_publish_the_metrics() -> None:
    settings = Settings.model_validate({"mqtt": {"sparkplug": True}})
    token = StoredToken("ann", "press", ("spBv1.0/#", "plant/+/Inlet/#"), ())
    read = sparkplug_of(of_token(token), settings, LIMITS, Counter())
    assert read is not None
    topic = "spBv1.0/plant/NBIRTH/press"
    run = read.sort(Run(0, [Channel("ann", topic)], [NBIRTH], []))
    assert [c.topic for c in run.targets] == ["plant/press/Inlet/Temperature", topic]
    others = read.sort(Run(0, [Channel("bob", topic)], [NBIRTH], []))
    assert others.targets == [Channel("bob", topic)]  # into what bob shares
    assert sparkplug_of(of_token(token), Settings(), LIMITS, Counter()) is None


_KINDS = ["NBIRTH", "NDATA", "NDEATH", "DBIRTH/d", "DDATA/d", "DDEATH/d"]
_BYTES = st.binary(max_size=200) | st.binary(max_size=40).map(lambda tail: NBIRTH + tail)


@given(_BYTES, st.sampled_from(_KINDS))
def test_any_bytes_are_read_or_kept_as_they_came(raw: bytes, kind: str) -> None:
    host = born()
    kind, _, device = kind.partition("/")
    topic = f"spBv1.0/plant/{kind}/press{device and '/' + device}"
    made = host.messages(topic, raw)
    assert (topic, raw) in made or all(not one.startswith("spBv1.0/") for one, _ in made)


@pytest.mark.parametrize("wrong", [{"topics": ["$share/g/spBv1.0/#"]}, {"topic": "spBv1.0/{unit}"},
                                   {"sparkplug_topic": "GROUP/NODE"}])  # fmt: skip
def test_settings_under_which_births_and_data_part_are_refused(wrong: dict[str, Any]) -> None:
    given = {"name": "b", "url": "mqtt://b", "topics": ["spBv1.0/#"], "sparkplug": True} | wrong
    with pytest.raises(ValidationError):
        MqttSource.model_validate(given)
