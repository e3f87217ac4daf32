"""Ten thousand units: made by one document, and then connecting all at once.

    python -m bench.sign_in [--units 10000]

Each has a token of its own and stays connected. The generator takes part of the same cores.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

import uvloop
from tests.server import Server

from bench.apart import raise_file_limit
from bench.report import Figures, Report, Usage, at_least, at_most
from lakebed.runtime.settings import load as load_settings
from lakebed.sources.mqtt.codec.handshake import Connect
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.stores.opening import open_catalog

_AT_ONCE = 500  # connections that wait for their CONNACK
_OWNER = "admin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--units", type=int, default=10_000)
    given = parser.parse_args()
    raise_file_limit()  # the server inherits it
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        home = Path(folder)
        with Server(home) as server:
            figures = _apply(server, given.units)
        tokens = _tokens(home)
        with Server(home) as server:
            figures |= uvloop.run(_connect(server, tokens))
            figures |= _listed(server, given.units)
    Report(
        "sign-in",
        f"{given.units:,} units, made by one document, then connecting {_AT_ONCE} at a time",
        "python -m bench.sign_in",
        figures,
        [at_most("apply s", 30), at_least("connections/s", 1_000)],
    ).show()


def _apply(server: Server, units: int) -> Figures:
    entries = (
        f"  - {{name: unit-{place}, publish: ['fleet/{{unit}}/#'], read: ['set/{{unit}}/#'],"
        f" tags: [t{place % 10}]}}\n"
        for place in range(units)
    )
    document = "units:\n" + "".join(entries)
    figures: Figures = {"units": units}
    for name in ("apply s", "apply again, unchanged s"):
        began = time.perf_counter()
        answer = server.request("POST", "/api/v1/apply", content=document)
        figures[name] = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["units"]) == units
    return figures


def _tokens(home: Path) -> list[str]:
    """Give each unit a token; as many requests as units would take their own time."""
    settings = load_settings(home / "lakebed.toml" if (home / "lakebed.toml").exists() else None)
    catalog = open_catalog(settings.model_copy(update={"home": home}))
    try:
        with catalog.transaction():
            tokens = []
            for unit in catalog.units(_OWNER):
                tokens.append(f"secret of {unit.uuid}")
                catalog.add_unit_token(unit.uuid, tokens[-1])
    finally:
        catalog.close()
    return tokens


async def _connect(server: Server, tokens: list[str]) -> Figures:
    slots, open_ones, waits = asyncio.Semaphore(_AT_ONCE), [], []
    usage, busy = Usage(server.pid), resource.getrusage(resource.RUSAGE_SELF)

    async def connect(token: str) -> None:
        async with slots:
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.mqtt_port)
            writer.write(Connect(token[-12:], V5, username=token).encode())
            answer = await reader.readexactly(4)
            assert answer[0] == 0x20, answer
            assert answer[3] == 0, answer
            waits.append(time.perf_counter() - began)
            open_ones.append((reader, writer))

    began = time.perf_counter()
    await asyncio.gather(*map(connect, tokens))
    seconds = time.perf_counter() - began
    cpu, after = usage.cpu, resource.getrusage(resource.RUSAGE_SELF)
    waits.sort()
    count = len(tokens)
    online = await asyncio.to_thread(_online, server, count)
    for _, writer in open_ones:
        writer.close()
    return {
        "connections/s": count / seconds,
        "server CPU µs/connection": cpu / count * 1e6,
        "generator CPU µs/connection": (after.ru_utime - busy.ru_utime) / count * 1e6,
        "CONNACK p50 ms": waits[count // 2] * 1e3,
        "CONNACK p99 ms": waits[count * 99 // 100] * 1e3,
        "all shown online after s": online,
        "peak RSS MiB": usage.peak_mib,
    }


def _online(server: Server, units: int) -> float:
    """Seconds until the API shows all of them online."""
    began = time.perf_counter()
    while True:
        found = server.get("/api/v1/units", limit=units)["units"]
        if all(unit["online"] for unit in found):
            return time.perf_counter() - began
        assert time.perf_counter() < began + 60
        time.sleep(0.5)


def _listed(server: Server, units: int) -> Figures:
    began = time.perf_counter()
    assert len(server.get("/api/v1/units", limit=units)["units"]) == units
    return {"list of all s": time.perf_counter() - began}


if __name__ == "__main__":
    main()
