"""Reads the body of an export, in either encoding."""

import json
from base64 import b64encode
from typing import NamedTuple, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from lakebed.http.problems import TooLarge
from lakebed.sources.http.ndjson import MOST_LINES, Decoded, Sender
from lakebed.sources.http.topic_cache import Topics
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET as NO_TIME
from lakebed.vocabulary.times import Micros

M = TypeVar("M", bound=Message)
_BAD = (DecodeError, json_format.ParseError, ValueError, RecursionError, TypeError, AttributeError)
"""What json_format raises where a field has a value of another type is not always its own."""
_NANOSECONDS = SENT_TIMES._replace(unit="ns")


class Way(NamedTuple):
    """How a request is read.

    Attributes:
        sender: who sends it.
        template: of topics; valid.
        topics: channels by what a template makes them of; a cache of this sender and template.
        is_json: the encoding.
    """

    sender: Sender
    template: str
    topics: Topics
    is_json: bool


def read(request: M, body: bytes, is_json: bool) -> M:
    """The same message, filled.

    Fields that are not known are ignored, as the specification asks.

    Raises:
        BadRequest: the body is none of its kind.
    """
    what = type(request).__name__
    try:
        if is_json:
            given = json.loads(body)
            if not isinstance(given, dict):
                raise ValueError
            return json_format.ParseDict(given, request, ignore_unknown_fields=True)
        request.ParseFromString(body)
    except _BAD as error:
        form = "JSON" if is_json else "protobuf"
        why = f": {error}" if isinstance(error, json_format.ParseError) else ""
        raise BadRequest("body", f"it is not {what} as {form}{why}"[:300]) from None
    return request


def id_text(id: bytes, is_json: bool) -> str:
    """The hexadecimal digits of a trace or span.

    JSON has them as such, where protobuf's own JSON would have base64 (OTLP, "JSON Protobuf
    Encoding"): what was read as base64 is written as base64 again.
    """
    return b64encode(id).decode() if is_json else id.hex()


def time_of(nanoseconds: int) -> Micros:
    """Raises ValueError if it is absurd; 0 stands for none."""
    return parse_time(nanoseconds, _NANOSECONDS) if nanoseconds else NO_TIME


def take(found: Decoded, channel: Channel, payload: bytes, event: Micros) -> None:
    if len(found.payloads) >= MOST_LINES:
        raise TooLarge("body", f"it holds more than {MOST_LINES} messages: send it in pieces")
    found.take(channel, payload, event, "")
