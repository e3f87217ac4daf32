"""The section `[gelf]`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from lakebed.sources.listening.settings import ListenerSection
from lakebed.vocabulary.topic_templates import GELF, GELF_WORDS, check_template


def _template(value: str) -> str:
    return check_template(value, GELF_WORDS)


class GelfSection(ListenerSection):
    """Where messages of the Graylog Extended Log Format come in."""

    topic: Annotated[str, AfterValidator(_template)] = Field(
        GELF, description="template of topics: of HOST, and fields such as `{_app}`"
    )
