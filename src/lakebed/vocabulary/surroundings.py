"""Names of what surrounds a message, as policies ask for it by `with`.

content_type, principal      attributes of their own
client, key, qos, retain, …  `RECORDED`: pairs among the decisions of `Attributes`
properties.NAME              user properties of MQTT 5
"""

from typing import Final

RECORDED: Final = ("client", "key", "qos", "retain", "response_topic", "correlation_data")
"""Client identifier, the key of a record of Kafka, QoS and retain flag of the packet, and what a
request asks for (MQTT 5, section 4.10); correlation data as base64."""

OWN: Final = ("content_type", "principal")
NAMES: Final = (*RECORDED, *OWN)
PROPERTY: Final = "properties."
FLAGS: Final = frozenset({"retain"})
NUMBERS: Final = frozenset({"qos"})

MOST: Final = 16
"""Of one policy."""

LONGEST_PROPERTY: Final = 256
"""Characters of the name of a user property."""


def check_name(value: object) -> str:
    """Check one entry of `with`. Raises ValueError with what is allowed."""
    if isinstance(value, str):
        name = value.removeprefix(PROPERTY)
        if value in NAMES or (name != value and 1 <= len(name) <= LONGEST_PROPERTY):
            return value
    raise ValueError(f"{value!r} is none of {', '.join(NAMES)} and {PROPERTY}NAME")
