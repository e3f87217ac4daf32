"""Opens what the settings ask for; what they do not ask for is not imported."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakebed.system.extras import needed
from lakebed.telemetry.settings import TelemetrySection

if TYPE_CHECKING:
    from lakebed.telemetry.otlp import OtlpTracer
    from lakebed.telemetry.sentry import Reporter


def open_tracer(section: TelemetrySection, roles: Iterable[str]) -> "OtlpTracer | None":
    """The tracer of the process, if there is a collector.

    Raises:
        SettingsError: its packages are not installed.
    """
    if section.otlp is None:
        return None
    try:
        from lakebed.telemetry.otlp import OtlpTracer
    except ModuleNotFoundError as error:
        raise needed(error, "telemetry.otlp", section.otlp) from None
    return OtlpTracer(section.otlp, section.sample, list(roles))


def open_reporter(section: TelemetrySection, roles: Iterable[str]) -> "Reporter | None":
    """What reports errors of the process, if there is a project for them.

    Raises:
        SettingsError: its packages are not installed.
    """
    if section.sentry is None:
        return None
    try:
        from lakebed.telemetry.sentry import Reporter
    except ModuleNotFoundError as error:
        raise needed(error, "telemetry.sentry", "it") from None
    return Reporter(section.sentry, list(roles))
