"""The metrics of a journal, by the figures of its health."""

from collections.abc import Mapping
from typing import Any

from lakebed.ports.metrics import GaugeMetric, Sample, measured

_METRICS = {
    "used": GaugeMetric("lakebed_journal_used_bytes", "Bytes that the journal holds."),
    "limit": GaugeMetric("lakebed_journal_limit_bytes", "Bytes that the journal may hold."),
    "file": GaugeMetric("lakebed_journal_file_bytes", "Bytes of the journal's file on the disk."),
    "pressure": GaugeMetric(
        "lakebed_journal_used_ratio",
        "How near the journal is to its limit: at 1 sources are held back.",
    ),
    "messages": GaugeMetric("lakebed_journal_messages", "Messages that the journal holds."),
    "oldest": GaugeMetric(
        "lakebed_journal_oldest_age_seconds", "Age of the oldest message that the journal holds."
    ),
    "ahead": GaugeMetric(
        "lakebed_journal_clock_ahead_seconds",
        "By how much the newest message is ahead of the clock: more than a few say it went back.",
    ),
    "damaged": GaugeMetric(
        "lakebed_journal_damaged_messages", "Messages that were accepted and cannot be read."
    ),
    "records": GaugeMetric("lakebed_journal_records", "Records that the topic holds in Kafka."),
    "partitions": GaugeMetric("lakebed_journal_partitions", "Partitions of the journal in use."),
    "replication": GaugeMetric("lakebed_journal_replicas", "Replicas of the topic in Kafka."),
    "min_insync": GaugeMetric(
        "lakebed_journal_min_insync_replicas", "Replicas that must have what is acknowledged."
    ),
    "retention_ms": GaugeMetric(
        "lakebed_journal_retention_seconds",
        "How long Kafka keeps the topic's records at most.",
        per=1000,
    ),
}
_FOR_EVER = ("retention_ms", -1)


def samples(figures: Mapping[str, Any]) -> tuple[Sample, ...]:
    """The metrics of those figures that are there; none for a retention without an end."""
    known = {name: value for name, value in figures.items() if (name, value) != _FOR_EVER}
    return tuple(measured(_METRICS, known))
