"""A bus over HTTP. One entry of `[[sources]]` with `kind = "bus"`."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from lakebed.section import Duration, Section, Size
from lakebed.vocabulary.owners import check_known
from lakebed.vocabulary.pointers import parse_pointer
from lakebed.vocabulary.time_parsing import Unit
from lakebed.vocabulary.times import parse_duration
from lakebed.vocabulary.topic_templates import BUS, BUS_WORDS, check_template


def _pointer(value: str) -> str:
    parse_pointer(value)
    return value


def _template(value: str) -> str:
    return check_template(value, BUS_WORDS)


def _path(value: str) -> str:
    if value and not value.startswith("/"):
        raise ValueError(f"{value!r} is no path: it begins with a slash, such as /events")
    return value


Path_ = Annotated[str, AfterValidator(_path)]
Pointer = Annotated[str, AfterValidator(_pointer)]


class BusSource(Section):
    """Take the events of a bus. The operator writes its address: it may be a private one."""

    kind: Literal["bus"] = Field("bus", description="`bus`")
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name in logs and metrics")
    url: str = Field(description="`http://HOST[:PORT]` or `https://…`")
    owner: Annotated[str, AfterValidator(check_known)] = Field(
        "admin", description="owner of what comes in"
    )
    read: Literal["poll", "stream"] = Field(
        "poll",
        description="asks for pages of events, or keeps one answer open: lines of JSON, or"
        " server-sent events",
    )
    path: Path_ = Field("/events", min_length=1, description="where events are read")
    topic: Annotated[str, AfterValidator(_template)] = Field(
        BUS, description="template of topics: NAME is the event's name, `{FIELD}` another field"
    )
    items: Pointer = Field(
        "/events",
        description="JSON pointer to the events of an answer; a list, or lines of JSON, are taken"
        " as they are",
    )
    event_name: Pointer = Field("/name", description="JSON pointer to the name of an event")
    event_time: Pointer = Field(
        "/timestamp", description="to its time; without one it has the time of its arrival"
    )
    event_id: Pointer = Field("/id", description="to its id, by which it is stored once")
    time_unit: Unit = Field("auto", description="what times count: s, ms, us, ns or auto")
    paging: Literal["cursor", "offset", "link", "none"] = Field(
        "cursor",
        description="how the next page is asked for: by a cursor of the answer, by how many events"
        " were read, by the answer's `Link` header, or as the first",
    )
    cursor: Pointer = Field("/next_cursor", description="to the cursor of an answer")
    event_cursor: Pointer | None = Field(
        None, description="to the cursor of an event, where each has one: the last counts"
    )
    cursor_parameter: str = Field("cursor", min_length=1, description="the query's name for it")
    offset_parameter: str = Field("offset", min_length=1, description="and for an offset")
    limit: int = Field(1000, ge=1, le=100_000, description="events asked for at once")
    limit_parameter: str = Field("limit", description="the query's name for it; empty: not sent")
    wait: Duration = Field(
        parse_duration("20s"),
        description="how long the bus may hold an answer until there are events; 0s: it does not",
    )
    wait_parameter: str = Field("wait", description="the query's name for it, in seconds")
    every: Duration = Field(
        parse_duration("1s"), description="time until it is asked again when there was nothing"
    )
    acknowledge: Path_ = Field(
        "", description="where to say by POST that events are durable; empty: nowhere"
    )
    acknowledge_with: Literal["cursor", "ids"] = Field(
        "cursor", description='what is said there: `{"cursor": …}` or `{"ids": […]}`'
    )
    metrics: Path_ = Field("", description="where own figures go by POST; empty: nowhere")
    metrics_every: Duration = Field(parse_duration("60s"), description="how often")
    metrics_prefix: str = Field("lakebed", description="first part of their names")
    auth: Literal["none", "bearer", "basic", "header"] = Field(
        "none", description="how requests say who asks"
    )
    user: str = Field("", description="with `basic`")
    header: str = Field("X-API-Key", description="with `header`: its name")
    secret_file: Path | None = Field(None, description="the file with the token or password")
    secret_env: str | None = Field(None, description="or the variable of the environment")
    ca_file: Path | None = Field(None, description="PEM of the authority, for `https://`")
    certificate: Path | None = Field(None, description="PEM of a client certificate,")
    certificate_key: Path | None = Field(None, description="and of its key")
    timeout: Duration = Field(
        parse_duration("15s"), description="for a connection, and for an answer beyond `wait`"
    )
    retry_first: Duration = Field(
        parse_duration("500ms"), description="wait after a failure: doubled each time, less a"
        " random part"
    )  # fmt: skip
    retry_most: Duration = Field(parse_duration("30s"), description="the longest")
    max_answer: Size = Field(16 * 2**20, ge=1024, description="bytes of one answer")

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        url = urlsplit(self.url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("url: write http://HOST[:PORT] or https://…")
        if url.username is not None or url.query or url.fragment:
            raise ValueError("url: without user, password and query; see `auth`")
        _ = url.port
        return self

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        given = [one for one in (self.secret_file, self.secret_env) if one is not None]
        if self.auth == "none" and given:
            raise ValueError("auth: say what the secret is: bearer, basic or header")
        if self.auth != "none" and len(given) != 1:
            raise ValueError(f"auth: {self.auth} needs one of secret_file and secret_env")
        if self.auth == "basic" and not self.user:
            raise ValueError("user: basic needs one")
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate_key: certificate and key go together")
        return self

    @model_validator(mode="after")
    def _check_acknowledged(self) -> Self:
        without = self.paging in ("none", "link")
        if self.acknowledge and self.acknowledge_with == "cursor" and without:
            raise ValueError(f"acknowledge_with: paging {self.paging} has no cursor: write ids")
        if self.read == "stream" and self.paging == "link":
            raise ValueError("paging: a stream has no links: write cursor, offset or none")
        return self
