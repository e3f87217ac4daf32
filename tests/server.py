"""The real command in a process of its own, for acceptance, crash tests and cases."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests import processes
from tests.ports import free_port

START = 60.0  # seconds a server may take to become ready on a busy machine
STOP = 60.0  # seconds it may take to end
SETTLE = 60.0  # seconds the keeper may take to work off what was sent


class Api:
    """What tests ask a server over HTTP.

    Args:
        url: where it listens.
        token: by which it is asked.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self._token = url, token
        # A client of its own for every request would load all certificates each time. Connections
        # are not kept: a server that was killed would leave stale ones.
        self._client = httpx.Client(
            verify=False, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)
        )

    @property
    def token(self) -> str:
        return self._token

    @property
    def output(self) -> str:
        """What it said, where that can be known."""
        return ""

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | arguments.pop("headers", {})
        return self._client.request(method, self.url + path, headers=headers, **arguments)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET, which must be 200. `from_` stands for `from`."""
        query = {key.rstrip("_"): value for key, value in parameters.items()}
        response = self.request("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def put_policy(self, **document: Any) -> str:
        """Returns its version."""
        response = self.request("PUT", f"/api/v1/policies/{document['name']}", json=document)
        assert response.status_code in (200, 201), response.text
        return response.headers["etag"].strip('"')

    def put_policies(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Write them all and wait until they are in force."""
        for document in documents:
            self.put_policy(**document)
        self.wait_in_force()

    def wait_in_force(self) -> None:
        """For the two seconds that this takes at most."""
        time.sleep(2)

    def send(self, topic: str, payload: bytes | str, **headers: str) -> None:
        response = self.request(
            "POST", "/api/v1/messages", params={"topic": topic}, content=payload, headers=headers
        )
        assert response.status_code == 202, response.text

    def send_batch(self, lines: Sequence[Mapping[str, Any]]) -> None:
        body = "\n".join(json.dumps(line) for line in lines)
        response = self.request("POST", "/api/v1/messages/batch", content=body)
        assert response.status_code == 202, response.text
        assert response.json()["accepted"] == len(lines), response.text

    def records(self, topic: str, policy: str, **parameters: Any) -> list[dict[str, Any]]:
        """All records, following cursors."""
        found: list[dict[str, Any]] = []
        parameters |= {"topic": topic, "policy": policy}
        while True:
            page = self.get("/api/v1/records", **parameters)
            found += page["records"]
            if page["next_cursor"] is None:
                return found
            parameters["cursor"] = page["next_cursor"]

    def flow(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/api/v1/flow")
        return answer

    def settle(
        self,
        until: Callable[[dict[str, Any]], bool] = lambda flow: True,
        seconds: float = SETTLE,
    ) -> dict[str, Any]:
        """Wait until nothing is in flight and `until` holds of the flow; the sum is checked."""
        deadline = time.monotonic() + seconds
        while True:
            flow = self.flow()
            assert_sum(flow)
            if flow["in_flight"] == 0 and until(flow):
                return flow
            assert time.monotonic() < deadline, f"not settled: {flow}\n{self.output}"
            time.sleep(0.1)


class Server(Api):
    """`lakebed up` on free ports with a home of its own.

    Args:
        home: the home directory; a second Server on the same home continues the first.
        settings: environment settings, such as {"LIMITS__PAYLOAD": "1KiB"}.

    Attributes:
        environment: what it is started with beside this process's own.
        module: what is run: the command, or one that changes something and then is the command.
        command: of that program, with its first arguments.
        fork: whether the fork server may start it (see `processes`).
        folder: where it runs; None is where the tests do.
        clock_offset: how much later its wall clock shows than the right time.
    """

    module = processes.COMMAND
    command: Sequence[str] = ("up",)
    fork = True
    folder: Path | None = None

    def __init__(
        self, home: Path, settings: Mapping[str, str] | None = None, ports: tuple[int, int] = (0, 0)
    ) -> None:
        self.home = home
        self.http_port, self.mqtt_port = ports[0] or free_port(), ports[1] or free_port()
        super().__init__(f"http://127.0.0.1:{self.http_port}")
        self.environment = {f"LAKEBED__{k}": v for k, v in (settings or {}).items()}
        self.clock_offset = timedelta(0)
        self._process: processes.Process | None = None
        self._written: dict[str, str] = {}  # versions of policies that may not be in force yet

    @property
    def token(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> "Server":
        self.spawn()
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Start the process and do not wait for it."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "output.log").open("ab") as output:
            self._process = processes.start(
                self.module,
                [
                    *self.command, "--home", self.home,
                    "--http", f"127.0.0.1:{self.http_port}",
                    "--mqtt", f"127.0.0.1:{self.mqtt_port}",
                ],
                stdout=output, stderr=output, environment=processes.clean() | self.environment,
                folder=self.folder, fork=self.fork,
            )  # fmt: skip

    def wait_ready(self, seconds: float = START) -> None:
        """Wait until all parts do their work."""
        assert self._process is not None
        until, told = time.monotonic() + seconds, ""
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise AssertionError(
                    f"lakebed ended with {self._process.returncode}\n{self.output}"
                )
            try:
                answer = self._client.get(f"{self.url}/readyz", timeout=2)
                if answer.status_code == 200:
                    return
                told = answer.text
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"lakebed was not ready in {seconds} s: {told}\n{self.output}")

    @property
    def output(self) -> str:
        return (self.home / "output.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: it hangs, its connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, seconds: float = STOP) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = STOP) -> int:
        """Until it has ended by itself; returns the exit code."""
        assert self._process is not None
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self._process.send_signal(processes.TELL)
            time.sleep(1)
            raise AssertionError(f"lakebed did not end in {seconds} s\n{self.output}") from None

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it, if it runs, by force where that does not help."""
        if self._process is not None and self._process.poll() is None:
            try:
                self.resume()
                self.stop()
            finally:
                self.kill()
        super().close()

    def put_policy(self, **document: Any) -> str:
        version = super().put_policy(**document)
        self._written[document["name"]] = version
        return version

    def wait_in_force(self) -> None:
        """Until all policies that were written are in force: the keeper says so in its log."""
        wanted = [f"/{name}@{version}" for name, version in self._written.items()]
        eventually(lambda: all(re.search(rf"added.*{part}\b", self.output) for part in wanted))
        self._written.clear()

    def delete_policy(self, name: str) -> None:
        """Delete it and wait until it is not in force any more."""
        response = self.request("DELETE", f"/api/v1/policies/{name}")
        assert response.status_code == 204, response.text
        eventually(lambda: re.search(rf"removed.*/{name}@", self.output))


def assert_sum(flow: Mapping[str, Any]) -> None:
    """Invariant 3: every message is accounted for."""
    parts = (
        "skipped", "kept", "late", "over_quota", "dead_letter", "duplicates", "lost", "in_flight",
    )  # fmt: skip
    total = sum(flow[part] for part in parts) + sum(flow["filtered"].values())
    assert flow["received"] == total, flow


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Call until it neither raises AssertionError nor returns a false value; its last answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = check()
            assert answer, f"still {answer!r}"
            return answer
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
