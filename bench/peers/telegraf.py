"""Telegraf: MQTT consumer, `basicstats`, file output in line protocol."""

from pathlib import Path

from bench.peers.receiver import TOPICS, Gathering, Job, Lines, Program, Stored, fill
from bench.peers.versions import module_version

_AGGREGATOR = """\
[[aggregators.basicstats]]
  period = "{period}s"
  name_override = "aggregate"
  stats = ["count", "min", "max", "sum", "mean"]
"""


class Telegraf(Program):
    name = "Telegraf"

    def __init__(self, folder: Path, port: int, job: Job) -> None:
        config = folder / "telegraf.conf"
        aggregator = _AGGREGATOR.format(period=job.period) if job.period else ""
        fill(
            "telegraf.conf", config, port=port, topics=TOPICS, folder=folder, aggregator=aggregator
        )
        super().__init__(folder, ["telegraf", "--config", str(config)])
        self._file = folder / "metrics.out"
        self._lines = Lines(self._file, b"raw,")

    def version(self) -> str:
        return module_version(self._command[0], "github.com/influxdata/telegraf")

    def seen(self) -> int:
        return self._lines.look()

    def stored(self) -> Stored:
        """Lines are `raw,topic=T value=V TIME` and `aggregate,topic=T value_count=N,... TIME`."""
        gathering = Gathering()
        with self._file.open() as file:
            for line in file:
                series, fields, _ = line.split(" ")
                topic = series.partition("topic=")[2]
                found = dict(field.split("=") for field in fields.split(","))
                if series.startswith("raw,"):
                    gathering.message(topic, float(found["value"]))
                else:
                    count = float(found["value_count"].rstrip("i"))
                    gathering.aggregate(topic, count, float(found["value_sum"]))
        return gathering.stored()
