"""Reason codes (MQTT 5 section 2.4) and the errors of the codec."""

from enum import IntEnum

from lakebed.vocabulary.errors import LakebedError


class Reason(IntEnum):
    """The reason codes that Lakebed sends or has to understand."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QUOTA_EXCEEDED = 0x97
    PAYLOAD_FORMAT_INVALID = 0x99
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F


def reason_name(code: int) -> str:
    """The name used in logs and metrics, or the number in hexadecimal for an unknown code."""
    try:
        return Reason(code).name.lower()
    except ValueError:
        return f"{code:#04x}"


class ProtocolError(LakebedError):
    """The peer broke the protocol: the connection must end.

    Attributes:
        reason: the reason code for DISCONNECT or CONNACK in MQTT 5.
        text: one sentence for the log and the reason string.
    """

    status = 400

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Refuse(LakebedError):
    """A message or CONNECT is refused for its content; the protocol is not broken."""

    status = 403

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def malformed(text: str) -> ProtocolError:
    return ProtocolError(Reason.MALFORMED_PACKET, text)


def violation(text: str) -> ProtocolError:
    return ProtocolError(Reason.PROTOCOL_ERROR, text)
