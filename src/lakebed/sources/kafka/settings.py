"""Topics of others at Kafka. One entry of `[[sources]]` with `kind = "kafka"`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakebed.section import Duration, Section
from lakebed.vocabulary.owners import check_known
from lakebed.vocabulary.times import parse_duration
from lakebed.vocabulary.topic_templates import KAFKA, KAFKA_WORDS, check_template

_SERVER = re.compile(r"(\[[^\]]+\]|[^:\[\]/@,\s]+)(:[0-9]{1,5})?\Z")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}\Z")
_GROUP = re.compile(r"[^\x00-\x1f\x7f]{1,255}\Z")


def _servers(value: str) -> str:
    if not all(_SERVER.match(one) for one in value.split(",")):
        raise ValueError("write HOST:PORT[,HOST:PORT]")
    return value


def _topic(value: str) -> str:
    if value.startswith("^"):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
    elif not _TOPIC.match(value):
        raise ValueError(f"{value!r} is no topic of Kafka, and no regular expression with a ^")
    return value


def _template(value: str) -> str:
    return check_template(value, KAFKA_WORDS)


def _group(value: str) -> str:
    if not _GROUP.match(value):
        raise ValueError(f"{value!r} is no name of a group")
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class KafkaSource(Section):
    """Read topics of others. The operator writes the address: it may be a private one."""

    kind: Literal["kafka"] = Field("kafka", description="`kafka`")
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name in logs and metrics")
    servers: Annotated[str, AfterValidator(_servers)] = Field(
        description="`HOST:PORT[,HOST:PORT]` to begin with"
    )
    topics: Annotated[list[Annotated[str, AfterValidator(_topic)]], BeforeValidator(_several)] = (
        Field(min_length=1, description="names, or regular expressions that begin with `^`")
    )
    owner: Annotated[str, AfterValidator(check_known)] = Field(
        "admin", description="owner of what comes in"
    )
    group: Annotated[str, AfterValidator(_group)] | None = Field(
        None, description="group that has the position; default: `lakebed-NAME`"
    )
    topic: Annotated[str, AfterValidator(_template)] = Field(
        KAFKA, description="template of topics: of TOPIC, PARTITION, KEY"
    )
    start: Literal["earliest", "latest"] = Field(
        "earliest", description="where a group begins that has no position"
    )
    time: Literal["record", "received"] = Field(
        "record", description="event time: the record's time stamp, or that of its arrival"
    )
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="protocol"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="of SASL"
    )
    user: str = Field("", description="of SASL")
    secret_file: Path | None = Field(None, description="the file with the password of SASL")
    secret_env: str | None = Field(None, description="or the variable of the environment")
    ca_file: Path | None = Field(None, description="PEM of the authority")
    certificate: Path | None = Field(None, description="PEM of a client certificate,")
    certificate_key: Path | None = Field(None, description="and of its key")
    session_timeout: Duration = Field(
        parse_duration("45s"), description="silence after which the group gives partitions away"
    )

    @model_validator(mode="after")
    def _check_security(self) -> Self:
        given = [one for one in (self.secret_file, self.secret_env) if one is not None]
        if self.security.startswith("sasl"):
            if not self.user or len(given) != 1:
                raise ValueError("user: SASL needs one, and one of secret_file and secret_env")
        elif given or self.user:
            raise ValueError("security: a user and a secret go with sasl_plaintext or sasl_ssl")
        if "ssl" not in self.security and (self.ca_file or self.certificate):
            raise ValueError("security: certificates go with ssl or sasl_ssl")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate_key: certificate and key go together")
        return self

    @property
    def group_name(self) -> str:
        return self.group or f"lakebed-{self.name}"
