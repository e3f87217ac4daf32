"""What most scenarios have in common: a server with policies, a load, and what it came to.

start ── policies ── load, while a probe measures the lag ── all visible ── stop ── compare
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.server import SETTLE, Server, assert_sum

from bench import load as generator
from bench.content import expected, verify
from bench.lag import Lag
from bench.load import Load, Measured
from bench.report import Figures, Usage, disk_bytes

_FUNCTIONS = ["min", "max", "sum", "avg"]
NOW = {"name": "now", "keep": "last_value", "every": "10s"}
MINUTES = {"name": "minutes", "keep": "aggregate", "every": "1m", "functions": _FUNCTIONS}
HOUR = {"name": "hour", "keep": "window", "for": "1h"}
POLICIES: tuple[Mapping[str, Any], ...] = (NOW, MINUTES, HOUR)
"""Three on every topic."""

PROBE = "plant/probe"
_TABLES = {"window": "window", "aggregate": "aggregate"}


@dataclass(slots=True)
class Trial:
    """One load on one server.

    Attributes:
        load: makes the load for a server that runs.
        policies: in force on `plant/#`; the first window policy is what the probe reads.
        settings: of the server, as environment settings.
        config: a `lakebed.toml`, for what the environment cannot say.
        send: sends the load; a generator in a process of its own.
        probe_every: seconds between two samples of the lag.
        beside: what else runs during the load: gets the server, returns figures when called again.
    """

    load: Callable[[Server], Load]
    policies: Sequence[Mapping[str, Any]] = POLICIES
    settings: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    send: Callable[[Load], Measured] = generator.run
    probe_every: float = 2.0
    beside: Callable[[Server], Callable[[], Figures]] | None = None

    def run(self) -> Figures:
        """The figures, once the stores were found to hold exactly what was sent."""
        with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
            home = Path(folder)
            if self.config:
                (home / "lakebed.toml").write_text(self.config)
            with Server(home, self.settings) as server:
                figures, load = self._measure(server)
            tables = {p["name"]: p["keep"] for p in self.policies if p["keep"] in _TABLES}
            weights = verify(home, expected(load), tables, PROBE)
            return figures | _disk(home, weights, load.messages)

    def _measure(self, server: Server) -> tuple[Figures, Load]:
        for policy in self.policies:
            server.put_policy(**policy, topics=["plant/#"], type="number")
        load = self.load(server)
        window = next(p["name"] for p in self.policies if p["keep"] == "window")
        with Lag(server.http_port, server.token, PROBE, window, self.probe_every) as lag:
            usage = Usage(server.pid)
            further = self.beside(server) if self.beside else None
            sent = self.send(load)
            if not load.qos:
                _received(server, load.messages)
            visible = lag.finish()
        stored, cpu, peak = visible - sent.began, usage.cpu, usage.peak_mib
        threads = usage.by_thread(load.messages)
        extra = further() if further else {}
        _kept(server, load.messages + lag.sent)
        n = load.messages
        return {
            "messages": n,
            **({"acknowledged msg/s": n / sent.seconds} if load.qos else {}),
            "stored msg/s": n / stored,
            "server CPU µs/msg": cpu / n * 1e6,
            **threads,
            "generator CPU µs/msg": sent.cpu / n * 1e6,
            **({"ack p50 ms": sent.wait(0.5) * 1e3, "ack p99 ms": sent.wait(0.99) * 1e3}
               if load.qos else {}),
            **({"generator behind ms": sent.behind * 1e3} if load.rate else {}),
            "lag samples": len(lag.lags),
            "lag p50 ms": lag.quantile(0.5) * 1e3,
            "lag p99 ms": lag.quantile(0.99) * 1e3,
            "lag max ms": lag.quantile(1.0) * 1e3,
            "peak RSS MiB": peak,
            **extra,
        }, load  # fmt: skip


def _received(server: Server, messages: int) -> None:
    """At QoS 0 nobody says that a message has arrived: wait until the server has counted all."""
    until = time.monotonic() + SETTLE
    while (flow := server.flow())["received"] < messages:
        assert time.monotonic() < until, f"not all arrived: {flow}"
        time.sleep(0.02)


def _kept(server: Server, messages: int) -> None:
    flow = server.settle(lambda flow: flow["received"] >= messages)
    assert_sum(flow)
    assert flow["received"] == flow["kept"] == messages, flow


def _disk(home: Path, weights: Mapping[str, tuple[int, int]], messages: int) -> Figures:
    journal = sum(disk_bytes(path) for path in home.glob("journal.db*"))
    in_use = sum(size for _, size in weights.values())
    return {"journal bytes/msg": journal / messages, "series bytes/msg": in_use / messages}
