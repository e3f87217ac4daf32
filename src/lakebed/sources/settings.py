"""`[[sources]]`: one entry for each queue or broker that is joined, told apart by `kind`."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from lakebed.sources.bus.settings import BusSource
from lakebed.sources.kafka.settings import KafkaSource
from lakebed.sources.mqtt.settings import MqttSource


def _kind(value: Any) -> str:
    kind = value.get("kind", "mqtt") if isinstance(value, dict) else getattr(value, "kind", "")
    return str(kind)


Source = Annotated[
    Annotated[MqttSource, Tag("mqtt")]
    | Annotated[BusSource, Tag("bus")]
    | Annotated[KafkaSource, Tag("kafka")],
    Discriminator(
        _kind,
        custom_error_type="source_kind",
        custom_error_message="kind is mqtt, bus or kafka",
    ),
]
"""Without `kind` it is a broker of MQTT."""

KINDS = ("mqtt", "bus", "kafka")
