"""Redpanda Connect: MQTT input, a window buffer, file outputs."""

import json
import subprocess
from pathlib import Path

from bench.peers.receiver import TOPICS, Gathering, Job, Lines, Program, Stored, fill


class RedpandaConnect(Program):
    name = "Redpanda Connect"

    def __init__(self, folder: Path, port: int, job: Job) -> None:
        way = folder / "way.yaml"
        variant = "redpanda_windows.yaml" if job.period else "redpanda_messages.yaml"
        fill(variant, way, folder=folder, period=job.period)
        config = folder / "redpanda.yaml"
        fill("redpanda.yaml", config, port=port, topics=TOPICS, way=way.read_text())
        super().__init__(folder, ["redpanda-connect", "run", str(config)])
        self._messages = folder / "messages.out"
        self._aggregates = folder / "aggregates.out"
        self._lines = Lines(self._messages)

    def version(self) -> str:
        told = subprocess.run([self._command[0], "--version"], capture_output=True, text=True)
        return told.stdout.partition("Version: ")[2].partition("\n")[0] or "unknown"

    def seen(self) -> int:
        return self._lines.look()

    def stored(self) -> Stored:
        gathering = Gathering()
        if self._messages.exists():
            for line in self._messages.read_text().splitlines():
                topic, value = line.split(" ")
                gathering.message(topic, float(value))
        if self._aggregates.exists():
            for line in self._aggregates.read_text().splitlines():
                row = json.loads(line)
                gathering.aggregate(row["topic"], row["count"], row["sum"])
        return gathering.stored()
