"""Makes messages of Sparkplug's: one for each metric, on a topic made of its names.

    spBv1.0/plant/NDATA/press          alias 7: 21.5  ──> plant/press/temperature       21.5
    spBv1.0/plant/DBIRTH/press/motor   speed: 3       ──> plant/press/motor/speed       3
                                                          plant/press/motor/$online     true
    spBv1.0/plant/NDEATH/press         bdSeq: 0       ──> plant/press/$online           false

An alias means what the last birth said, so it is resolved once, when the message comes, and what
is stored has the name: a replay needs no births. A message of which something cannot be resolved is
stored as it came, beside what can be. `$online` counts from its arrival: a death is a will, made
when its node connected.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.sources.mqtt.codec.publish import Run
from lakebed.sources.mqtt.codec.reasons import Refuse
from lakebed.sources.mqtt.sparkplug import sparkplug_b_pb2 as tahu
from lakebed.sources.mqtt.sparkplug.births import Birth, Births, Declared, Metric, Node
from lakebed.sources.mqtt.sparkplug.values import payload
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET, Micros
from lakebed.vocabulary.topic_templates import fill, level

SPARKPLUG = CounterMetric(
    "lakebed_sparkplug_total", "What sources read of Sparkplug B.", ("source", "event")
)

NAMESPACE = "spBv1.0/"

MOST_METRICS = 10_000
"""Metrics of one message that are read."""

ONLINE = "$online"
"""The level, in the place of a metric, on which it is told whether a node or device is there."""

BIRTHS, DEATHS, METRICS, COMMANDS = "births", "deaths", "metrics", "commands"
KEPT_RAW, BEFORE_BIRTH, SEQ_GAPS, STALE_DEATHS = (
    "kept_raw", "before_birth", "seq_gaps", "stale_deaths",
)  # fmt: skip
EVENTS = (BIRTHS, DEATHS, METRICS, COMMANDS, KEPT_RAW, BEFORE_BIRTH, SEQ_GAPS, STALE_DEATHS)
"""What is counted. `kept_raw` are all that are stored as they came, of which `before_birth` came
before the birth that would say what they mean."""

_KINDS = {"NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"}
_COMMANDS = {"NCMD", "DCMD"}
_BD_SEQ = "bdSeq"
_TIMES = SENT_TIMES._replace(unit="ms")


class _Sent(NamedTuple):
    """A topic of Sparkplug, taken apart."""

    node: str  # GROUP/NODE
    kind: str
    device: str


class _Made(NamedTuple):
    channel: Channel
    payload: bytes
    event: Micros


class _Unresolved(Exception):
    """A message is to be stored as it came."""


class _BeforeBirth(_Unresolved):
    """Its birth would say what it means."""


class SparkplugMessages:
    """Of one source, over all of its connections, or of a client. Event loop only.

    Args:
        of: broker and owner.
        path: where births are remembered over a restart.
        check: raises Refuse where nothing may be stored under a topic.
        longest: bytes of a payload.
        counts: shared with others; None for its own.

    Attributes:
        counts: by `EVENTS`.
    """

    def __init__(
        self,
        owner: str,
        template: str,
        of: str,
        path: Path | None,
        check: Callable[[str], object],
        longest: int,
        counts: Counter[str] | None = None,
    ) -> None:
        self._longest = longest
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._owner = owner
        self._template = template
        self._check = check
        self.births = Births(of, path, self._channel)

    def sort(self, run: Run[Any]) -> Run[Channel]:
        """The messages to be stored; those of QoS 2, which Sparkplug does not use, as they came."""
        targets: list[Channel] = run.targets
        if run.qos == 2 or not any(self._reads(one) for one in targets):
            return run
        made: list[_Made] = []
        ids: list[str] = []
        source: list[int] = []
        for place, channel in enumerate(targets):
            event = UNSET if run.event is None else run.event[place]
            found = self._messages(channel, run.payloads[place], event)
            made += found
            source += [place] * len(found)
            if run.ids is not None:
                id = run.ids[place]
                ids += [id and (f"{id}#{n}" if n else id) for n in range(len(found))]
        events = [one.event for one in made]
        return Run(
            run.qos,
            [one.channel for one in made],
            [one.payload for one in made],
            run.packet_ids,
            events,
            ids if run.ids is not None else [""] * len(made),
            None if run.attributes is None else [run.attributes[place] for place in source],
            retained=run.retained,
        )

    def _reads(self, channel: Channel) -> bool:
        """Whether it may be a message of Sparkplug's; not those into what others share."""
        return channel.topic.startswith(NAMESPACE) and channel.owner == self._owner

    def _messages(self, channel: Channel, raw: bytes, event: Micros) -> list[_Made]:
        as_it_came = [_Made(channel, raw, event)]
        levels = channel.topic.split("/")
        if not self._reads(channel) or len(levels) not in (4, 5) or levels[1] == "STATE":
            return as_it_came
        sent = _Sent(f"{levels[1]}/{levels[3]}", levels[2], "/".join(levels[4:]))
        if sent.kind in _COMMANDS:
            self.counts[COMMANDS] += 1
            return []
        if sent.kind not in _KINDS or (sent.kind[0] == "D") != bool(sent.device):
            return as_it_came
        made: list[_Made] = []
        try:
            self._read(sent, raw, made)
        except (_Unresolved, DecodeError, ValueError) as error:
            self.counts[KEPT_RAW] += 1
            self.counts[BEFORE_BIRTH] += isinstance(error, _BeforeBirth)
            made += as_it_came
        return made

    def _read(self, sent: _Sent, raw: bytes, made: list[_Made]) -> None:
        """Add the messages that are made of one.

        Raises:
            _Unresolved, DecodeError, ValueError: these are not all.
        """
        message = tahu.Payload.FromString(raw)
        if len(message.metrics) > MOST_METRICS:
            raise _Unresolved
        if sent.kind == "NDEATH":
            self._end_node(sent, message, made)
            return
        if sent.kind == "NBIRTH":
            declared = _declared(message)
            node = self.births.put_node(sent.node, _bd_seq(message))
            node.seq = message.seq if message.HasField("seq") else None
            self._begin(sent, message, declared, made)
            return
        node = self._known(sent.node)
        self._count_gap(node, message)
        if sent.kind == "DBIRTH":
            self._begin(sent, message, _declared(message), made)
            return
        birth = node.births.get(sent.device)
        if birth is None:
            raise _BeforeBirth
        if sent.kind == "DDEATH":
            self.births.end_device(sent.node, sent.device)
            self.counts[DEATHS] += 1
            self._add_state(sent.node, sent.device, b"false", made)
            return
        self._add_values(birth, message, made)

    def _known(self, name: str) -> Node:
        node = self.births.nodes.get(name)
        if node is None:
            raise _BeforeBirth
        return node

    def _count_gap(self, node: Node, message: "tahu.Payload") -> None:
        if not message.HasField("seq"):
            return
        if node.seq is not None and message.seq != (node.seq + 1) % 256:
            self.counts[SEQ_GAPS] += 1
        node.seq = message.seq

    def _begin(
        self, sent: _Sent, message: "tahu.Payload", declared: list[Declared], made: list[_Made]
    ) -> None:
        self.counts[BIRTHS] += 1
        birth = self.births.put(sent.node, sent.device, declared)
        self._add_state(sent.node, sent.device, b"true", made)
        self._add_values(birth, message, made)

    def _end_node(self, sent: _Sent, message: "tahu.Payload", made: list[_Made]) -> None:
        """A node, and so its devices, are away, unless it was born again before the death came."""
        node = self.births.nodes.get(sent.node)
        died = _bd_seq(message)
        if node is not None and None not in (died, node.bd_seq) and died != node.bd_seq:
            self.counts[STALE_DEATHS] += 1
            raise _Unresolved
        self.counts[DEATHS] += 1
        devices = sorted(node.births) if node is not None else []
        self.births.forget(sent.node)
        for device in dict.fromkeys(["", *devices]):
            self._add_state(sent.node, device, b"false", made)

    def _add_state(self, node: str, device: str, payload: bytes, made: list[_Made]) -> None:
        channel = self._channel(node, device, ONLINE)
        if channel is not None:
            made.append(_Made(channel, payload, UNSET))

    def _add_values(self, birth: Birth, message: "tahu.Payload", made: list[_Made]) -> None:
        """Add a message for each metric.

        Raises:
            _Unresolved: not all can be named, or have a value that can be read.
        """
        at = _time(message.timestamp if message.HasField("timestamp") else None)
        failed: Exception | None = None
        before = len(made)
        for one in message.metrics:
            try:
                channel, value = self._value(birth, one)
            except (_Unresolved, ValueError) as error:
                failed = error
                continue
            when = _time(one.timestamp) if one.HasField("timestamp") else at
            made.append(_Made(channel, value, when))
        self.counts[METRICS] += len(made) - before
        if failed is not None:
            raise failed

    def _value(self, birth: Birth, given: "tahu.Payload.Metric") -> tuple[Channel, bytes]:
        metric = _metric(birth, given)
        if metric.channel is None:
            raise _Unresolved
        found = payload(given, metric.kind)
        if len(found) > self._longest:
            raise _Unresolved
        return metric.channel, found

    def _channel(self, node: str, device: str, name: str) -> Channel | None:
        """Where the values of a metric go; slashes in its name divide levels, as its folders."""
        group, _, edge = node.partition("/")
        words = {
            "GROUP": (level(group),),
            "NODE": (level(edge),),
            "DEVICE": (level(device),) if device else (),
            "METRIC": (name,) if name == ONLINE else [level(one) for one in name.split("/")],
        }
        topic = fill(self._template, words)
        try:
            self._check(topic)
        except Refuse:
            return None
        return Channel(self._owner, topic)

    def figures(self) -> dict[str, int]:
        """For the health of the source."""
        return {"sparkplug_nodes": len(self.births.nodes), **figures(self.counts)}


def figures(counts: Counter[str]) -> dict[str, int]:
    """What people should look at."""
    return {name: counts[name] for name in (KEPT_RAW, BEFORE_BIRTH, SEQ_GAPS)}


def _metric(birth: Birth, given: "tahu.Payload.Metric") -> Metric:
    found = birth.aliases.get(given.alias) if given.HasField("alias") else None
    found = found or birth.names.get(given.name)
    if found is None:
        raise _BeforeBirth
    return found


def _declared(message: "tahu.Payload") -> list[Declared]:
    """The metrics of a birth. Raises ValueError if one has no name."""
    if not all(one.name for one in message.metrics):
        raise ValueError("a metric of a birth has no name")
    return [
        Declared(one.name, one.alias if one.HasField("alias") else None, one.datatype)
        for one in message.metrics
    ]


def _bd_seq(message: "tahu.Payload") -> int | None:
    for one in message.metrics:
        if one.name == _BD_SEQ:
            return one.long_value if one.WhichOneof("value") == "long_value" else one.int_value
    return None


def _time(given: int | None) -> Micros:
    """Of milliseconds; `UNSET` where there is none that can be."""
    if given is None:
        return UNSET
    try:
        return parse_time(given, _TIMES)
    except ValueError:
        return UNSET


def metrics(found: "Iterable[tuple[str, Counter[str]]]") -> Iterator[Sample]:
    """What sources, by name, have read."""
    for name, counts in found:
        for event in EVENTS:
            yield SPARKPLUG(counts[event], name, event)
