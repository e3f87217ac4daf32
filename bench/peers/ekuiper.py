"""eKuiper: MQTT source, a rule that stores messages, one with a tumbling window, file sinks."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from tests.ports import free_port

from bench.peers.receiver import TOPICS, Gathering, Job, Lines, Program, Stored, fill

_START = 30.0  # seconds
_STREAM = (
    'CREATE STREAM plant () WITH (TYPE="mqtt", DATASOURCE="{topics}", FORMAT="delimited", '
    'DELIMITER=",", SHARED="{shared}")'
)
# Columns are written in the order of their names.
_MESSAGES = 'SELECT meta(topic) AS a, cast(col0, "float") AS b FROM plant'
_WINDOWS = (
    "SELECT meta(topic) AS a, count(*) AS b, sum(v) AS c, min(v) AS d, max(v) AS e, avg(v) AS f "
    "FROM plant GROUP BY meta(topic), TUMBLINGWINDOW(ss, {period})"
).replace("(v)", '(cast(col0, "float"))')


class EKuiper(Program):
    name = "eKuiper"

    def __init__(self, folder: Path, port: int, job: Job) -> None:
        for part in ("sources", "sinks", "connections", "functions", "services", "ops"):
            (folder / "etc" / part).mkdir(parents=True)
        for part in ("data", "plugins", "log"):
            (folder / part).mkdir()
        self._rest_port = free_port()
        etc = folder / "etc"
        fill("ekuiper_kuiper.yaml", etc / "kuiper.yaml", rest_port=self._rest_port,
             cli_port=free_port(), push_port=free_port())  # fmt: skip
        fill("ekuiper_mqtt_source.yaml", etc / "mqtt_source.yaml", port=port)
        super().__init__(folder, ["kuiperd"])
        self._job = job
        self._files: dict[Path, Lines] = {}
        self._made = False

    def environment(self) -> dict[str, str]:
        return {"KuiperBaseKey": str(self.folder)}

    def version(self) -> str:
        """It tells its version only while it runs, or in what Go wrote into it."""
        try:
            told = subprocess.run(
                ["go", "version", "-m", self._command[0]], capture_output=True, text=True
            ).stdout
        except OSError:
            return "unknown"
        _, _, after = told.partition("cmd.Version=")
        return after.split()[0].strip('"').removeprefix("v") if after else "unknown"

    def start(self) -> None:
        """Rules are kept from one start to the next."""
        super().start()
        self._wait()
        if self._made:
            return
        # One rule may hold its source back until there is room; with a shared stream it may not,
        # and a full buffer discards. So the buffers are as long as a whole load.
        alone = not self._job.period
        sql = _STREAM.format(topics=TOPICS, shared=str(not alone).lower())
        self._post("/streams", {"sql": sql})
        options = {
            "qos": 1, "checkpointInterval": "1s", "bufferLength": 102_400 if alone else 1_000_000,
            "disableBufferFullDiscard": alone,
        }  # fmt: skip
        rules = {"messages": _MESSAGES}
        if self._job.period:
            rules["windows"] = _WINDOWS.format(period=self._job.period)
        for name, sql in rules.items():
            actions = [{"file": self._sink(name)}]
            self._post("/rules", {"id": name, "sql": sql, "actions": actions, "options": options})
        self._made = True

    def _sink(self, name: str) -> dict[str, Any]:
        """A new file for every start, never rolled while it runs."""
        return {
            "path": str(self.folder / f"{name}.out"), "fileType": "csv", "format": "delimited",
            "delimiter": " ", "rollingNamePattern": "suffix", "rollingCount": 0,
            "rollingSize": 2**50,
        }  # fmt: skip

    def _wait(self) -> None:
        until = time.monotonic() + _START
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self._rest_port}/ping").raise_for_status()
            except httpx.HTTPError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def _post(self, path: str, document: dict[str, Any]) -> None:
        answer = httpx.post(f"http://127.0.0.1:{self._rest_port}{path}", json=document)
        if answer.status_code != 201:
            raise RuntimeError(f"eKuiper refused {path}: {answer.text}")

    def seen(self) -> int:
        """Its file sink holds the last 4 KiB back until it ends."""
        for path in self.folder.glob("messages*.out"):
            self._files.setdefault(path, Lines(path)).look()
        return sum(lines.count for lines in self._files.values())

    def stored(self) -> Stored:
        gathering = Gathering()
        for topic, value in self._rows("messages", 2):
            gathering.message(topic, float(value))
        for topic, count, total, *_ in self._rows("windows", 6):
            gathering.aggregate(topic, float(count), float(total))
        return gathering.stored()

    def _rows(self, name: str, columns: int) -> Iterator[list[str]]:
        """Lines that are whole: a kill may leave a part of one."""
        for path in self.folder.glob(f"{name}*.out"):
            for line in path.read_text().splitlines():
                row = line.split(" ")
                if len(row) == columns and row[0].endswith("/temperature") and row[-1]:
                    yield row
