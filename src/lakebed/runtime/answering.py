"""The health of a store that may hang: one that does not answer is not well."""

from collections.abc import Callable
from concurrent.futures import TimeoutError as Late

from lakebed.ports.health import Health
from lakebed.system.probing import Probe

_TIMEOUT = 2.0  # seconds


def answering(name: str, health: Callable[[], Health]) -> Callable[[], Health]:
    """`health`, waited for no longer than two seconds. Any thread."""
    probe = Probe(name, health)

    def ask() -> Health:
        try:
            return probe.ask().result(_TIMEOUT)
        except Late:
            return Health(False, f"{name} does not answer")

    return ask
