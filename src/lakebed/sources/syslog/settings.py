"""The section `[syslog]`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from lakebed.section import Zone
from lakebed.sources.listening.settings import ListenerSection
from lakebed.vocabulary.topic_templates import SYSLOG, SYSLOG_WORDS, check_template


def _template(value: str) -> str:
    return check_template(value, SYSLOG_WORDS)


class SyslogSection(ListenerSection):
    """Where syslog messages come in."""

    topic: Annotated[str, AfterValidator(_template)] = Field(
        SYSLOG, description="template of topics: of HOST, APP, FACILITY and SEVERITY, each once"
    )
    time_zone: Zone = Field("UTC", description="zone of times without one, those of RFC 3164")
