"""The role `gateway`: receives messages and makes them durable, without policies or the series.

devices ──MQTT──┐
brokers ──MQTT──┼──> intake ──> journal
apps ────HTTP───┘
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lakebed.ports.catalog.catalog import Catalog
from lakebed.ports.catalog.notes import note_of_source
from lakebed.ports.health import Health
from lakebed.ports.journal.appending import KnownKeys
from lakebed.ports.metrics import CounterMetric, GaugeMetric, Sample, measured
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.roles.role import Role
from lakebed.runtime.settings import Settings
from lakebed.sources.bus import variables
from lakebed.sources.bus.settings import BusSource
from lakebed.sources.kafka.settings import KafkaSource
from lakebed.sources.settings import Source
from lakebed.system.batching import Batching
from lakebed.system.descriptors import Descriptors, too_few
from lakebed.vocabulary.errors import Unavailable

if TYPE_CHECKING:
    from lakebed.sources.bus.source import BusReader
    from lakebed.sources.kafka.source import KafkaReader
    from lakebed.sources.listening.door import Listener
    from lakebed.sources.mqtt.client.client import MqttClient
    from lakebed.sources.mqtt.client.unit_senders import UnitSenders
    from lakebed.sources.mqtt.server.endpoint import MqttEndpoint
    from lakebed.sources.pulling.position import Lead


_CONNECTIONS = {
    "open": GaugeMetric("lakebed_mqtt_connections", "MQTT connections that are open."),
    "refused": CounterMetric(
        "lakebed_connections_refused_total",
        "Connections that were closed at once because the process may not open more files.",
    ),
}

log = structlog.get_logger(__name__)

_CONNECTING = 400
"""Clients whose keys are looked up in one turn of a thread."""

_LISTENERS = ("syslog", "gelf")
"""Sections with ports that need no token."""

_REPORT_EVERY = 5.0  # seconds between two looks at what sources did not store


def _listens(settings: Settings) -> Sequence[tuple[str, str]]:
    names = ("listen", "tls_listen", "ws_listen", "wss_listen")
    mqtt = ((getattr(settings.mqtt, name), f"mqtt.{name}") for name in names)
    others = [
        (address, f"{section}.{name}")
        for section in _LISTENERS
        for address, name in getattr(settings, section).listens
    ]
    return [*((address, name) for address, name in mqtt if address is not None), *others]


def _known(journal: KnownKeys) -> Callable[[bytes], Awaitable[list[bytes]]]:
    """Reads the journal's keys in a thread, together for all who connect meanwhile."""

    def read(prefixes: list[bytes]) -> list[list[bytes]]:
        return [journal.known(prefix) for prefix in prefixes]

    async def read_apart(prefixes: list[bytes]) -> list[list[bytes]]:
        return await asyncio.to_thread(read, prefixes)

    return Batching(read_apart, most=_CONNECTING, at_once=1).ask


async def _open(process: Process, _: Contribution) -> Contribution:
    from lakebed.sources.listening.stats import metrics as of_listeners
    from lakebed.sources.mqtt.client import retained
    from lakebed.sources.mqtt.client.client import MqttClient
    from lakebed.sources.mqtt.client.unit_senders import metrics
    from lakebed.sources.mqtt.server.endpoint import MqttEndpoint

    settings, intake = process.settings, process.intake
    known = _known(process.journal)
    descriptors = process.descriptors
    if few := too_few(descriptors.most, settings.mqtt.max_connections):
        log.warning(few, do="raise the limit of open files (ulimit -n, LimitNOFILE=)")
    endpoint = MqttEndpoint(
        settings, intake, process.identification, process.feed, known, descriptors,
        process.presence, process.audit.refused, process.outgoing.add,
    )  # fmt: skip
    # that of a home is made at its first start: one without is of an earlier version
    needed = process.alone or not all(source.client_id for source in settings.brokers)
    identity = _identity(process) if needed else ""
    clients = [
        MqttClient(
            source,
            intake,
            known,
            payload_maximum=settings.limits.payload,
            home=settings.home,
            identity=identity,
            units=process.units,
            seen=process.presence.sent,
        )
        for source in settings.brokers
    ]
    retaining = [(client.name, client.retained) for client in clients if client.retained]
    listeners = _listeners(process)
    pulled = _pulled(process)
    senders = [client.senders for client in clients if client.senders is not None]
    plugged = [(client.name, client.sparkplug.counts) for client in clients if client.sparkplug]
    own = {}
    if settings.mqtt.sparkplug:
        plugged.append(("mqtt", endpoint.sparkplug))
        own["sparkplug"] = partial(_sparkplug_of, endpoint)
    return Contribution(
        intake=intake,
        doors=(endpoint, *clients, *pulled, *listeners),
        addresses={"mqtt": lambda: endpoint.addresses},
        upgrades={"/mqtt": endpoint.websocket},
        health={
            "connections": partial(_connections, endpoint, descriptors, settings),
            **{f"source {client.name}": partial(_always_ready, client) for client in clients},
            **{f"source {one.name}": one.health for one in pulled},
            **{one.name: one.health for one in listeners},
            **own,
        },
        metrics=(
            endpoint.stats.metrics,
            *((partial(metrics, senders),) if senders else ()),
            *((partial(retained.metrics, retaining),) if retaining else ()),
            *((partial(_of_sparkplug, plugged),) if plugged else ()),
            *((partial(_of_pulled, pulled),) if pulled else ()),
            *((partial(of_listeners, [one.stats for one in listeners]),) if listeners else ()),
        ),
        tasks={"source reports": partial(_report, process.catalog, senders)} if senders else {},
    )


def _sparkplug_of(endpoint: "MqttEndpoint") -> Health:
    """What was read of Sparkplug B at the endpoint."""
    from lakebed.sources.mqtt.sparkplug.messages import figures  # needs protobuf

    return Health(True, "", figures(endpoint.sparkplug))


def _of_sparkplug(plugged: Sequence[tuple[str, Counter[str]]]) -> Iterator[Sample]:
    from lakebed.sources.mqtt.sparkplug.messages import metrics  # needs protobuf

    return metrics(plugged)


def _listeners(process: Process) -> "list[Listener]":
    """Those that have an address."""
    from lakebed.sources.gelf.listener import gelf
    from lakebed.sources.listening.door import Listener
    from lakebed.sources.syslog.listener import syslog

    settings = process.settings
    each = ((settings.syslog, syslog(settings.syslog)), (settings.gelf, gelf(settings.gelf)))
    return [
        Listener(format, section, process.intake, settings.limits.payload, process.descriptors)
        for section, format in each
        if section.listens or section.udp_listen
    ]


def _pulled(process: Process) -> "list[BusReader | KafkaReader]":
    """Sources that read a queue by a position."""
    found = (_reader(process, source) for source in process.settings.sources)
    return [one for one in found if one is not None]


def _reader(process: Process, source: Source) -> "BusReader | KafkaReader | None":
    """What reads a source; None of brokers of MQTT."""
    intake, longest = process.intake, process.settings.limits.payload
    if isinstance(source, BusSource):
        from lakebed.sources.bus.source import BusReader

        lead = None if process.alone else _lead(process, source.name)
        may_begin = partial(_may_begin, process.catalog, source.name)
        return BusReader(source, intake, process.catalog, longest, lead, may_begin)
    if isinstance(source, KafkaSource):
        from lakebed.sources.kafka.source import KafkaReader  # needs confluent-kafka

        return KafkaReader(source, intake, longest)
    return None


def _may_begin(catalog: Catalog, name: str) -> bool:
    """Whether policy and relay are in force that variables ask for, for the events of a bus."""
    asked = variables.read(os.environ) if name == variables.NAME else None
    return asked is None or catalog.note(variables.NOTE) == asked.text


def _lead(process: Process, name: str) -> "Lead":
    """Of several gateways one reads a bus."""
    from lakebed.backup.lease import Lease

    return Lease(process.catalog, f"reads source {name}", alone=False)


def _of_pulled(pulled: "Sequence[BusReader | KafkaReader]") -> Iterator[Sample]:
    from lakebed.sources.pulling.stats import metrics

    return metrics([one.stats for one in pulled])


def _connections(endpoint: "MqttEndpoint", descriptors: Descriptors, settings: Settings) -> Health:
    """Ready also with few descriptors: those who are connected are served."""
    message = too_few(descriptors.most, settings.mqtt.max_connections)
    detail = {
        "open": endpoint.connections,
        "refused": descriptors.refused,
        "files": descriptors.most,
    }
    return Health(True, message, detail, tuple(measured(_CONNECTIONS, detail)))


async def _report(catalog: Catalog, senders: "Sequence[UnitSenders]") -> None:
    """Write down, for whoever asks any process, which messages are not stored."""
    written: dict[str, str] = {}
    while True:
        await asyncio.sleep(_REPORT_EVERY)
        for one in senders:
            text = json.dumps(one.report())
            if one.left_out and written.get(one.name) != text:
                try:
                    await asyncio.to_thread(catalog.write_note, note_of_source(one.name), text)
                except Unavailable:
                    continue
                written[one.name] = text


def _identity(process: Process) -> str:
    from lakebed.sources.mqtt.client import identity

    made, descriptor = identity.claim(process.settings.home)
    if descriptor is not None:
        process.stack.callback(os.close, descriptor)
    return made


def _always_ready(client: "MqttClient") -> Health:
    """Report a broker that is away, but stay ready: the process still serves other senders."""
    return replace(client.health(), ok=True)


ROLE = Role(frozenset({"catalog", "journal"}), _open, intake=True, listens=_listens)
