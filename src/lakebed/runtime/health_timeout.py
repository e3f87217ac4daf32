"""Reports a store that hangs as unhealthy."""

from collections.abc import Callable
from concurrent.futures import TimeoutError as Late

from lakebed.ports.health import Health
from lakebed.system.probing import Probe

_TIMEOUT = 2.0  # seconds


def with_timeout(name: str, health: Callable[[], Health]) -> Callable[[], Health]:
    """Wrap a health check: without an answer in two seconds the store is unhealthy. Any thread."""
    probe = Probe(name, health)

    def ask() -> Health:
        try:
            return probe.ask().result(_TIMEOUT)
        except Late:
            return Health(False, f"{name} does not answer")

    return ask
