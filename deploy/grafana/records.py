"""The dashboard of kept records, which are asked of Lakebed's API."""

from grafana_foundation_sdk.builders import dashboard, table, timeseries
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig
from grafana_queries import RECORDS, Annotation, Infinity

_RANGE = "from=${__from}&to=${__to}"
_TOPICS = {"A": "topic", "B": "second"}
"""Variables by the query that asks for what they hold: a curve of one topic has no empty rows."""


def add_records(board: dashboard.Dashboard) -> None:
    board.with_variable(
        dashboard.DatasourceVariable("records")
        .label("Lakebed")
        .type("yesoreyeram-infinity-datasource")
    )
    board.with_variable(
        dashboard.TextBoxVariable("topic").label("Topic").default_value("demo/1")
    ).with_variable(dashboard.TextBoxVariable("second").label("and topic").default_value("demo/2"))
    for variable, title in (("topic", "Gaps"), ("second", "Gaps of the second topic")):
        board.annotation(Annotation(title, "orange", RECORDS, _gaps(variable)))
    board.with_panel(_curves()).with_panel(_last())


def _records(variable: str, points: int) -> str:
    return f"/api/v1/records?topic=${{{variable}:percentencode}}&{_RANGE}&maxDataPoints={points}"


def _gaps(variable: str) -> Infinity:
    # `gaps` is there only where there are any: this path of GJSON is [] without
    columns = {"from:time": "timestamp", "to:timeEnd": "timestamp", "reason:text": "string"}
    return Infinity(_records(variable, 1), "[gaps]|@flatten", columns, "dataframe", "Anno")


def _curves() -> timeseries.Panel:
    columns = {"start": "timestamp", "topic": "string", "min": "number", "max": "number"}
    panel = (
        timeseries.Panel()
        .title("Records")
        .description("Least and greatest of each part. A topic may be a filter.")
        .datasource(RECORDS)
        .span(24)
        .height(12)
        .span_nulls(True)  # of a filter's topics: where one has a row, the others have none
    )
    for ref, variable in _TOPICS.items():
        query = Infinity(_records(variable, 1000), "records", columns, "timeseries", ref)
        panel.with_target(query)
    return panel


def _last() -> table.Panel:
    columns = {"topic": "string", "time": "timestamp", "value": "string", "policy": "string"}
    panel = (
        table.Panel()
        .title("Last values")
        .description("As policies of kind last_value keep them.")
        .datasource(RECORDS)
        .span(24)
        .height(8)
        .with_transformation(DataTransformerConfig(id_val="merge"))  # one table of both
    )
    for ref, variable in _TOPICS.items():
        last = f"/api/v1/last?filter=${{{variable}:percentencode}}"
        panel.with_target(Infinity(last, "records", columns, ref=ref))
    return panel
