"""Decodes an export of logs: each record becomes a message, with JSON as its payload.

    service.name=shop │ ERROR "no stock" {item=7} @…   ──>   logs/shop/ERROR
    └ resource          └ SEVERITY                          {"severityText":"ERROR",…}

The time is that of the event, else that of its observation. Nothing else is left out but the
version and the attributes of the scope, flags, and counts of attributes that the sender dropped.
"""

from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from lakebed.sources.http.ndjson import Decoded
from lakebed.sources.http.otlp import attributes
from lakebed.sources.http.otlp.requests import Way, id_text, read, take, time_of
from lakebed.vocabulary.errors import BadRequest, Denied
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.topic_templates import NONE, fill, level, names_in, tag_levels

_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # four numbers each, from 1 on
_COST = 100  # bytes of a key's text besides its characters


def decode(body: bytes, way: Way) -> Decoded:
    """An `ExportLogsServiceRequest`; records that are rejected are counted from 1.

    Raises:
        BadRequest: it is none.
        TooLarge: it holds more than MOST_LINES records.
    """
    request = read(ExportLogsServiceRequest(), body, way.is_json)
    found = Decoded()
    names = names_in(way.template)
    number = 0
    for of_resource in request.resource_logs:
        given = of_resource.resource.attributes
        tags = attributes.texts(given)
        try:
            resource = msgspec.Raw(msgspec.json.encode(attributes.plain_all(given)))
        except ValueError as error:
            raise BadRequest("resource", str(error)) from None
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope.name
            for record in of_scope.log_records:
                number += 1
                try:
                    own = attributes.texts(record.attributes) if names else {}
                    chosen = attributes.chosen(names, own, tags)
                    channel = _channel(record, scope, dict(zip(names, chosen, strict=True)), way)
                    payload = way.sender.check_size(_payload(record, scope, resource, way.is_json))
                    event = time_of(record.time_unix_nano or record.observed_time_unix_nano)
                    take(found, channel, payload, event)
                except (ValueError, Denied) as error:
                    found.reject(number, error)
    return found


def _channel(record: LogRecord, scope: str, named: dict[str, str], way: Way) -> Channel:
    texts = (_severity(record), scope, record.event_name)
    key = (*texts, *named.values())
    channel = way.topics.get(key)
    if channel is None:
        words = zip(("SEVERITY", "SCOPE", "EVENT"), texts, strict=True)
        levels = {
            **{word: [level(text) or NONE] for word, text in words},
            **tag_levels(way.template, named),
        }
        channel = way.sender.channel(fill(way.template, levels))
        way.topics.keep(key, sum(map(len, key)) + _COST * len(key), channel)
    return channel


def _severity(record: LogRecord) -> str:
    """The range that the number lies in, else the text; not each sender writes the same text."""
    number = record.severity_number
    return _SEVERITIES[(number - 1) // 4] if 1 <= number <= 24 else record.severity_text


def _payload(record: LogRecord, scope: str, resource: msgspec.Raw, is_json: bool) -> bytes:
    """The fields of OTLP that the record has, under the names of its JSON."""
    found: dict[str, Any] = {
        "severityText": record.severity_text or None,
        "severityNumber": record.severity_number or None,
        "eventName": record.event_name or None,
        "body": attributes.plain(record.body),
        "attributes": attributes.plain_all(record.attributes) or None,
        "traceId": id_text(record.trace_id, is_json) or None,
        "spanId": id_text(record.span_id, is_json) or None,
        "scope": scope or None,
        "resource": resource,
    }
    return msgspec.json.encode({name: one for name, one in found.items() if one is not None})
