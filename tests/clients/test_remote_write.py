"""Senders of remote write as people have them: Prometheus itself, and client_golang for 2.0."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.clients import building
from tests.ports import free_port
from tests.server import Server, eventually
from tests.servers import unavailable

pytestmark = [pytest.mark.slow(12), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"HTTP__REMOTE_WRITE_TOPIC": "prom/{job}/NAME"}
    with Server(tmp_path_factory.mktemp("remote") / "home", settings) as started:
        policy = {"name": "all", "topics": ["prom/#"], "keep": "archive", "type": "text"}
        started.put_policies([policy | {"buffer": "0s"}])
        made = started.request(
            "POST", "/api/v1/tokens", json={"name": "p", "publish": ["prom/#"], "read": ["#"]}
        )
        started.narrow = str(made.json()["token"])  # type: ignore[attr-defined]
        yield started


def values(server: Server, topic: str) -> list[str]:
    server.settle()
    return [str(record["value"]) for record in server.records(topic, "all")]


@contextmanager
def prometheus(server: Any, folder: Path) -> Iterator[str]:
    """Prometheus, which scrapes itself twice a second and sends what it has; its address."""
    program = shutil.which("prometheus")
    if program is None:
        unavailable("prometheus (Debian: prometheus)")
    address = f"127.0.0.1:{free_port()}"
    (folder / "token").write_text(server.narrow)
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["{address}"]}}]
  - job_name: nobody
    static_configs: [{{targets: ["127.0.0.1:1"]}}]
remote_write:
  - url: {server.url}/api/v1/write
    authorization: {{credentials_file: {folder / "token"}}}
    queue_config: {{retry_on_http_429: true, batch_send_deadline: 200ms}}
"""
    )
    command = [
        str(program),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield address
        finally:
            process.terminate()


def asked(address: str, query: str) -> float:
    with urlopen(f"http://{address}/api/v1/query?query={query}", timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return sum(float(one["value"][1]) for one in result)


def test_prometheus_sends_what_it_scrapes_and_nothing_fails(server: Server, tmp_path: Path) -> None:
    with prometheus(server, tmp_path) as address:
        eventually(lambda: values(server, "prom/itself/up")[:2] == ["1", "1"], 60)
        assert set(values(server, "prom/nobody/up")) == {"0"}
        assert values(server, "prom/itself/go_goroutines")
        eventually(lambda: asked(address, "prometheus_remote_storage_samples_total") > 100, 30)
        for what in ("failed", "retried", "dropped"):
            assert asked(address, f"prometheus_remote_storage_samples_{what}_total") == 0


def test_version_2_hears_what_is_written(server: Any) -> None:
    program = [str(building.go("go-remote")), server.url, server.narrow]

    def sent(*series: str) -> str:
        return subprocess.run(
            [*program, *series], capture_output=True, text=True, timeout=60
        ).stdout

    assert sent("a", "x", "1.5", "b", "y", "2") == "written: 2 0 0\n"
    assert values(server, "prom/x/a") == ["1.5"]
    assert values(server, "prom/y/b") == ["2"]
    refused = sent("c", "x", "3", "", "x", "4")
    assert refused.startswith("written: 1 0 0\nfailed: ")
    assert "series 2: it has no label __name__" in refused
    assert values(server, "prom/x/c") == ["3"]
