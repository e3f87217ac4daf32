"""Queries and annotations in Grafana's JSON that its SDK has no types for."""

from dataclasses import dataclass, field

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import AnnotationQuery, DataSourceRef

RECORDS = DataSourceRef(type_val="yesoreyeram-infinity-datasource", uid="${records}")


@dataclass
class Infinity(Dataquery):
    """A question of the Infinity data source: a request, and the columns of its JSON answer.

    Attributes:
        root: a path of GJSON, which the backend parser reads.
        columns: type by selector; a selector may be followed by `:` and the column's name.
    """

    url: str
    root: str
    columns: dict[str, str]
    format: str = "table"
    ref: str = "A"

    def build(self) -> "Infinity":
        return self

    def to_json(self) -> dict[str, object]:
        named = [(*selector.partition(":"), kind) for selector, kind in self.columns.items()]
        return {
            "datasource": RECORDS,
            "refId": self.ref,
            "type": "json",
            "source": "url",
            "parser": "backend",
            "format": self.format,
            "url": self.url,
            "url_options": {"method": "GET"},
            "root_selector": self.root,
            "columns": [{"selector": s, "text": n or s, "type": kind} for s, _, n, kind in named],
        }


@dataclass
class Events:
    """A query of Prometheus whose samples over 0 are the events of an annotation."""

    source: DataSourceRef
    expression: str

    def to_json(self) -> dict[str, object]:
        return {"datasource": self.source, "expr": self.expression, "refId": "Anno"}


@dataclass
class Annotation(AnnotationQuery):
    """The SDK's annotation with the query of another data source than Grafana's own.

    Attributes:
        shown: what the data source reads beside its query, such as the format of a title.
    """

    title: str
    colour: str
    source: DataSourceRef
    question: Infinity | Events
    shown: dict[str, str] = field(default_factory=dict)

    def build(self) -> "Annotation":
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.title,
            "enable": True,
            "iconColor": self.colour,
            "datasource": self.source,
            "target": self.question,
            **self.shown,
        }
