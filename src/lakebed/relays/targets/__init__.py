"""Targets by the key under `to:` of a relay's document; each is imported when a relay needs it."""

from importlib import import_module

from lakebed.relays.targets.target import TargetKind

_KINDS: dict[str, str] = {
    "http": "http",
    "influx": "influx",
    "kafka": "kafka",
    "lakebed": "lakebed",
    "mqtt": "mqtt",
    "objects": "objects",
    "postgres": "postgres",
    "prometheus": "prometheus",
}
"""Key of the document -> module, which has `KIND`."""


def kinds() -> tuple[str, ...]:
    """The keys that `to:` may have."""
    return tuple(_KINDS)


def kind(name: str) -> TargetKind:
    """The target of a key of `kinds()`."""
    found = import_module(f"lakebed.relays.targets.{_KINDS[name]}").KIND
    assert isinstance(found, TargetKind)
    return found
