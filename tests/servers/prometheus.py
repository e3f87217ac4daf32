"""Debian's Prometheus, which scrapes what it is told to, and promtool, which reads metrics."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.server import eventually
from tests.servers import unavailable
from tests.servers.attended import Attended

_EVERY = "1s"


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10)

    def ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def targets(self) -> dict[str, str]:
        """What became of the last scrape, by job: `up`, `down` with the error, or `unknown`."""
        found = self._get("/api/v1/targets")["activeTargets"]
        return {
            one["labels"]["job"]: f"{one['health']} {one['lastError']}".strip() for one in found
        }

    def ask(self, query: str) -> dict[str, float]:
        """The values of an instant query, by job."""
        found = self._get("/api/v1/query", query=query)["result"]
        return {one["metric"].get("job", ""): float(one["value"][1]) for one in found}

    def series(self, query: str, at: float) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
        """Labels and samples of a query that asks for a range, such as `up[5m]`."""
        found = self._get("/api/v1/query", query=query, time=str(at))["result"]
        return [(one["metric"], [tuple(pair) for pair in one["values"]]) for one in found]

    def close(self) -> None:
        self._client.close()

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@contextmanager
def scraping(
    jobs: Mapping[str, str], folder: Path, options: Sequence[str] = ()
) -> Iterator[Prometheus]:
    """Runs one that scrapes these addresses (`HOST:PORT`, by the name of their job) all the time.

    Skips at a desk where Prometheus is missing, fails in CI.
    """
    if shutil.which("prometheus") is None:
        unavailable("prometheus (Debian: prometheus)")
    folder.mkdir(parents=True)
    config = {
        "global": {"scrape_interval": _EVERY, "scrape_timeout": _EVERY},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in jobs.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config))  # which is YAML too
    address = f"127.0.0.1:{free_port()}"
    program = Attended(
        ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address={address}", "--log.level=error", *options],
        folder, folder / "prometheus.log",
    )  # fmt: skip
    found = Prometheus(f"http://{address}")
    try:
        eventually(found.ready, 60)
        yield found
    finally:
        found.close()
        program.kill()


def complaints(metrics: str) -> str:
    """What promtool finds wrong with the text of `/metrics`; "" if nothing."""
    if shutil.which("promtool") is None:
        unavailable("promtool (Debian: prometheus)")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr
