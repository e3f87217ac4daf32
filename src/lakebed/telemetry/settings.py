"""The section `[telemetry]`."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from lakebed.section import Section


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write a URL such as http://collector:4318")
    return value.rstrip("/")


def _dsn(value: str) -> str:
    parts = urlsplit(value)
    project = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not (parts.hostname and parts.username and project):
        raise ValueError("write the project's DSN: https://KEY@HOST/PROJECT")
    return value


class TelemetrySection(Section):
    """Traces and errors for programs that gather those of many processes."""

    otlp: Annotated[str, AfterValidator(_url)] | None = Field(
        None, description="traces go to this collector of OpenTelemetry, by OTLP over HTTP"
    )
    sample: float = Field(
        0.01, ge=0, le=1, description="share of requests and of batches that begin a trace"
    )
    sentry: Annotated[str, AfterValidator(_dsn)] | None = Field(
        None, description="errors go to this project of Sentry: its DSN"
    )
