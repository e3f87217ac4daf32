"""Writes the dashboards that Grafana loads: `python deploy/grafana/dashboard.py`.

Totals of the whole instance are told by every process of role api, all the same: `max`, not `sum`.
What a process counts for itself is summed, or shown for each.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import BigValueColorMode, BigValueTextMode, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)
from grafana_queries import Annotation, Events
from records import add_records

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
FOLDER = Path(__file__).parent
_ROW = 24  # columns that Grafana divides a row into
_ALERTS = 'ALERTS{alertname=~"Lakebed.*",alertstate="firing"}'
_ALERT_TEXT = {"titleFormat": "{{alertname}}", "textFormat": "{{instance}}", "tagKeys": "severity"}
_CHOSEN = '{instance=~"$instance"}'


def build() -> dict[str, str]:
    """Each dashboard as Grafana's JSON, by the name of its file."""
    return {
        f"{uid}.json": JSONEncoder(sort_keys=True, indent=1).encode(make(uid).build()) + "\n"
        for uid, make in _BOARDS.items()
    }


def _whole(uid: str) -> dashboard.Dashboard:
    board = _measured(uid, "Lakebed", "What comes in, what becomes of it, and how the parts are.")
    _now(board)
    _messages(board)
    _mqtt(board)
    _times(board)
    _relays(board)
    _parts(board)
    return board


def _board(uid: str, title: str, text: str) -> dashboard.Dashboard:
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .tags(["lakebed"])
        .description(text)
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
    )


def _measured(uid: str, title: str, text: str) -> dashboard.Dashboard:
    """A dashboard of what Prometheus has scraped."""
    return (
        _board(uid, title, text)
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Process")
            .datasource(SOURCE)
            .query("label_values(lakebed_ready, instance)")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
        .annotation(Annotation("Alerts", "red", SOURCE, Events(SOURCE, _ALERTS), _ALERT_TEXT))
    )


def _node(uid: str) -> dashboard.Dashboard:
    board = _measured(uid, "Lakebed: node", "Whether each process works, and what it has left.")
    for title, text, legend, expression, unit in (
        ("Ready", "1 while a part does its work. /readyz says why not.", "{{instance}} {{part}}",
         f"lakebed_ready{_CHOSEN}", units.Short),
        ("Disk free", "Of the home directory.", "{{instance}}", _of("lakebed_disk_free_bytes"),
         units.BytesIEC),
        ("Journal on disk", "The embedded one.", "{{instance}}", _of("lakebed_journal_used_bytes"),
         units.BytesIEC),
        ("Pressure of the journal", "At 1 it is at its limit, and sources are held back.",
         "{{instance}}", _of("lakebed_journal_used_ratio"), units.PercentUnit),
        ("Connections refused", "In 5 minutes: the process may not open more files.",
         "{{instance}}",
         f"increase({_of('lakebed_connections_refused_total')}[5m])", units.Short),
        ("Catalog", "", "{{instance}}", _of("lakebed_catalog_size_bytes"), units.BytesIEC),
    ):  # fmt: skip
        board.with_panel(_curves(title, text, {legend: expression}, unit))
    return board


def _load(uid: str) -> dashboard.Dashboard:
    board = _measured(uid, "Lakebed: load", "What comes in, goes out, and waits.")
    for title, text, legend, expression, unit in (
        ("Messages processed", "", "{{outcome}}",
         "max by (outcome) (rate(lakebed_messages_total[$__rate_interval]))",
         units.CountsPerSecond),
        ("Payload", "", "bytes", "max(rate(lakebed_payload_bytes_total[$__rate_interval]))",
         units.BytesPerSecondIEC),
        ("In flight", "Durable and not processed yet.", "messages", "max(lakebed_in_flight)",
         units.Short),
        ("Sent", "Answers of the API, taps, MQTT and pages.", "{{way}}",
         f"sum by (way) (rate(lakebed_sent_bytes_total{_CHOSEN}[$__rate_interval]))",
         units.BytesPerSecondIEC),
        ("MQTT messages received, by QoS", "", "{{qos}}",
         f"sum by (qos) (rate(lakebed_mqtt_publishes_total{_CHOSEN}[$__rate_interval]))",
         units.CountsPerSecond),
        ("Rows written", "By the keepers.", "{{instance}}",
         f"rate({_of('lakebed_keeper_rows_written_total')}[5m])", units.CountsPerSecond),
        ("Series: time of a question", "", "{{instance}}", _of("lakebed_series_probe_seconds"),
         units.Seconds),
        ("Near a limit", "Owners and units that have used 80 % of one.", "{{of}}",
         f"max by (of) (lakebed_limits_near{_CHOSEN})", units.Short),
    ):  # fmt: skip
        board.with_panel(_curves(title, text, {legend: expression}, unit))
    return board


def _errors(uid: str) -> dashboard.Dashboard:
    board = _measured(uid, "Lakebed: errors", "What was refused, lost or damaged, and why.")
    for title, text, label, metric in (
        ("MQTT: not taken", "Messages and connections refused.", "reason",
         "lakebed_mqtt_refused_total"),
        ("MQTT: connections ended", "", "reason", "lakebed_mqtt_disconnects_total"),
        ("Over a limit", "", "over", "lakebed_limits_over_total"),
        ("Sources: not stored", "Acknowledged to a broker, of units that are not taken.", "reason",
         "lakebed_source_not_stored_total"),
        ("Reports of units refused", "", "reason", "lakebed_unit_reports_refused_total"),
        ("Audit log", "`failed`: the catalog took none.", "outcome",
         "lakebed_audit_entries_total"),
    ):  # fmt: skip
        rate = f"sum by ({label}) (rate({metric}{_CHOSEN}[$__rate_interval]))"
        board.with_panel(_curves(title, text, {f"{{{{{label}}}}}": rate}, units.CountsPerSecond))
    dead = 'max(increase(lakebed_messages_total{outcome="dead_letter"}[5m]))'
    for title, text, legend, expression in (
        ("Dead letters", "A bug met a message.", "in 5 minutes", dead),
        ("Parked, dropped, expired", "Over a limit.", "{{state}}",
         "max by (state) (lakebed_parked_messages)"),
        ("Parts that do not work", "", "{{instance}} {{part}}", "lakebed_ready == 0"),
        ("Journal records damaged", "Accepted, and not readable any more.", "{{instance}}",
         _of("lakebed_journal_damaged_messages")),
    ):  # fmt: skip
        board.with_panel(_curves(title, text, {legend: expression}, units.Short))
    return board


def _of(metric: str) -> str:
    return f"{metric}{_CHOSEN}"


def _records(uid: str) -> dashboard.Dashboard:
    board = _board(uid, "Lakebed: records", "Kept records of two topics, asked of Lakebed's API.")
    add_records(board)
    return board


def _now(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Now"))
    for title, expression, unit, steps in (
        ("Messages", "sum(max by (outcome) (rate(lakebed_messages_total[5m])))",
         units.CountsPerSecond, ()),
        ("Payload", "max(rate(lakebed_payload_bytes_total[5m]))", units.BytesPerSecondIEC, ()),
        ("In flight", "max(lakebed_in_flight)", units.Short, ((1e5, "orange"), (1e6, "red"))),
        ("Topics", "max(lakebed_topics)", units.Short, ()),
        ("Parts that do not work", 'count(lakebed_ready == 0) or vector(0)',
         units.Short, ((1, "red"),)),
        ("Dead letters in a day",
         'max(increase(lakebed_messages_total{outcome="dead_letter"}[1d])) or vector(0)',
         units.Short, ((1, "orange"),)),
    ):  # fmt: skip
        board.with_panel(_figure(title, expression, unit, steps))


def _messages(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Messages, of the whole instance"))
    board.with_panel(
        _curves(
            "What becomes of messages",
            "A message counts once: kept if any policy took it in.",
            {"{{outcome}}": "max by (outcome) (rate(lakebed_messages_total[$__rate_interval]))"},
            units.CountsPerSecond,
        )
        .fill_opacity(30)
        .stacking(StackingConfig().mode(StackingMode.NORMAL))
    )
    board.with_panel(
        _curves(
            "In flight",
            "Durable and not processed yet. It should return to 0; while it grows, the keepers"
            " are slower than the senders.",
            {
                "in flight": "max(lakebed_in_flight)",
                "partition {{partition}}": "max by (partition) (lakebed_partition_lag_messages)",
            },
            units.Short,
        )
    )


def _mqtt(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("MQTT endpoints"))
    for title, text, label, metric in (
        ("Received, by QoS", "", "qos", "lakebed_mqtt_publishes_total"),
        ("Not taken, by reason", "Messages and connections refused.", "reason",
         "lakebed_mqtt_refused_total"),
        ("Connections ended, by reason", "", "reason", "lakebed_mqtt_disconnects_total"),
        ("Events", "Connections opened, wills published, QoS 2 messages resent.", "event",
         "lakebed_mqtt_events_total"),
        ("Live feed", "Messages delivered to subscribers, and dropped for slow ones.", "outcome",
         "lakebed_mqtt_feed_total"),
    ):  # fmt: skip
        rate = f"sum by ({label}) (rate({metric}{_CHOSEN}[$__rate_interval]))"
        board.with_panel(_curves(title, text, {f"{{{{{label}}}}}": rate}, units.CountsPerSecond, 8))


def _times(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("How long it takes, of each process"))
    for title, text, metric in (
        ("Append", "What a sender waits for at least.", "lakebed_intake_append_seconds"),
        ("Fsync of the journal", "Of an embedded one.", "lakebed_journal_fsync_seconds"),
        ("Lag", "From when a message was received until policies had seen it.",
         "lakebed_keeper_lag_seconds"),
        ("Insert into the series", "Retries included.", "lakebed_keeper_write_seconds"),
        ("Checkpoint", "Retries included.", "lakebed_keeper_checkpoint_seconds"),
        ("Reading the series", "For somebody who asks.", "lakebed_series_read_seconds"),
    ):  # fmt: skip
        buckets = f"sum by (instance, le) (rate({metric}_bucket{_CHOSEN}[$__rate_interval]))"
        shown = {
            f"{{{{instance}}}} {share:g} %": f"histogram_quantile({share / 100:g}, {buckets})"
            for share in (50, 99)
        }
        board.with_panel(_curves(title, text, shown, units.Seconds, 8))


def _relays(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Relays"))
    for title, text, expression, unit in (
        ("Records that wait", "The oldest hundred relays; the rest together.",
         "max by (owner, relay) (lakebed_relay_lag_messages)", units.Short),
        ("Age of the oldest that waits", "", "max by (owner, relay) (lakebed_relay_lag_seconds)",
         units.Seconds),
        ("Delivered", "",
         "max by (owner, relay) (rate(lakebed_relay_delivered_total[$__rate_interval]))",
         units.CountsPerSecond),
        ("Retries", "", "max by (owner, relay) (rate(lakebed_relay_retries_total[5m]))",
         units.CountsPerSecond),
        ("Dead letters", "Refused by the target.",
         "max by (owner, relay) (increase(lakebed_relay_dead_letters_total[1h]))", units.Short),
    ):  # fmt: skip
        board.with_panel(_curves(title, text, {"{{owner}}/{{relay}}": expression}, unit, 8))
    of_target = "sum by (target, le) (rate(lakebed_relay_delivery_seconds_bucket[5m]))"
    shown = {"{{target}}": f"histogram_quantile(0.99, {of_target})"}
    board.with_panel(_curves("Delivery", "99 of 100, by kind of target.", shown, units.Seconds, 8))


def _parts(board: dashboard.Dashboard) -> None:
    board.with_row(dashboard.Row("Parts, of each process"))
    board.with_panel(
        _curves(
            "Ready",
            "1 while a part does its work. /readyz says why not.",
            {"{{instance}} {{part}}": f"lakebed_ready{_CHOSEN}"},
            units.Short,
            8,
        )
        .min(0)
        .max(1)
    )
    for title, text, metric, unit in (
        ("Journal on disk", "The embedded one; of Kafka's ask Kafka.",
         "lakebed_journal_used_bytes", units.BytesIEC),
        ("Oldest message held", "", "lakebed_journal_oldest_age_seconds", units.Seconds),
        ("Journal records damaged", "Accepted, and not readable any more.",
         "lakebed_journal_damaged_messages", units.Short),
        ("Journal records in Kafka", "", "lakebed_journal_records", units.Short),
        ("Waiting for the journal", "Taken from senders and not acknowledged yet.",
         "lakebed_intake_pending_bytes", units.BytesIEC),
        ("Series: time of a question", "", "lakebed_series_probe_seconds", units.Seconds),
        ("Catalog", "", "lakebed_catalog_size_bytes", units.BytesIEC),
    ):  # fmt: skip
        shown = {"{{instance}}": _of(metric)}
        board.with_panel(_curves(title, text, shown, unit, 8))
    rows = f"rate({_of('lakebed_keeper_rows_written_total')}[5m])"
    board.with_panel(
        _curves("Rows written", "By the keepers.", {"{{instance}}": rows}, units.CountsPerSecond, 8)
    )


def _figure(
    title: str, expression: str, unit: str, steps: Sequence[tuple[float, str]]
) -> stat.Panel:
    """One number, in the colour of the highest of `steps` that it has reached."""
    colours = [Threshold(value=None, color="green"), *(Threshold(v, c) for v, c in steps)]
    return (
        stat.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit(unit)
        .span(_ROW // 6)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .text_mode(BigValueTextMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(colours))
        .with_target(prometheus.Dataquery().expr(expression).instant().ref_id("A"))
    )


def _curves(
    title: str, text: str, expressions: dict[str, str], unit: str, span: int = _ROW // 2
) -> timeseries.Panel:
    """Curves over time; `expressions` by the legend of what they give."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .span(span)
        .height(8)
    )
    for place, (legend, expression) in enumerate(expressions.items()):
        query = prometheus.Dataquery().expr(expression).range().legend_format(legend)
        panel.with_target(query.ref_id(chr(ord("A") + place)))
    return panel


_BOARDS: dict[str, Callable[[str], dashboard.Dashboard]] = {
    "lakebed": _whole,
    "lakebed-node": _node,
    "lakebed-load": _load,
    "lakebed-errors": _errors,
    "lakebed-records": _records,
}


if __name__ == "__main__":
    for name, text in build().items():
        (FOLDER / name).write_text(text)
