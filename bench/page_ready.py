"""How soon the page of a topic is ready, and what it weighs.

python -m bench.page_ready [--rounds 7] [--records 100000]

    navigate ──> the plot is drawn, and its legend shows a value that was sent after that

Debian's Chromium opens the page with an empty cache each time, at the full speed of this machine
and, throttled by DevTools, at a quarter of it. A message a tenth of a second keeps values coming.
"""

import argparse
import gzip
import statistics
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, sync_playwright
from tests.server import Server
from tests.web.browser.instance import Instance

from bench.report import Figures, Report, at_most
from lakebed.web import assets

_TOPIC = "bench/temperature"
_DAY = 86_400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--records", type=int, default=100_000, help="behind the plot")
    given = parser.parse_args()
    _measure(given.rounds, given.records).show()


def _measure(rounds: int, records: int) -> Report:
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Server(Path(folder) / "home") as server,
    ):
        policy = {"name": "raw", "type": "number", "keep": "window", "for": "7d"}
        server.put_policy(**policy, topics=["bench/#"])
        _fill(server, records)
        instance = Instance(server.url, server.token)
        ended, sent = threading.Event(), [1000]
        sending = threading.Thread(target=_keep_sending, args=(server, ended, sent))
        sending.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium",
                    args=["--no-sandbox", "--disable-dev-shm-usage"],
                )
                cookie = instance.visitor("looker", admin=True).session
                figures: Figures = {}
                for speed, name in ((1, "full speed"), (4, "a quarter of it")):
                    times = [_open(browser, server.url, cookie, speed, sent) for _ in range(rounds)]
                    figures[f"ready at {name} s, p50"] = statistics.median(times)
                    figures[f"ready at {name} s, worst"] = max(times)
                browser.close()
        finally:
            ended.set()
            sending.join()
            instance.close()
    figures["script of the page, gzip kB"] = _weight(("page.js", "plot.js"))
    return Report(
        "page-ready",
        f"the page of a topic with {records:,} records of a day, {rounds} times each",
        "python -m bench.page_ready",
        figures,
        [
            at_most("ready at full speed s, p50", 1),
            at_most("ready at a quarter of it s, p50", 2),
            at_most("script of the page, gzip kB", 60),
        ],
    )


def _fill(server: Server, records: int) -> None:
    """A day of records, sent in batches; returns once they can be read."""
    begin, step = time.time() - _DAY, _DAY / records
    for start in range(0, records, 5_000):
        server.send_batch(
            [
                {"topic": _TOPIC, "value": 20 + i % 97 / 10, "time": begin + i * step}
                for i in range(start, min(start + 5_000, records))
            ]
        )
    server.settle()


def _keep_sending(server: Server, ended: threading.Event, sent: list[int]) -> None:
    """Send numbers that grow; `sent` holds the newest."""
    while not ended.wait(0.1):
        server.send_batch([{"topic": _TOPIC, "value": sent[0] + 1}])
        sent[0] += 1


def _open(browser: Browser, url: str, cookie: str, slower: int, sent: list[int]) -> float:
    """Seconds until the plot is drawn and shows a value that was sent meanwhile."""
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "lakebed", "value": cookie, "url": url}])
    page = context.new_page()
    if slower > 1:
        devtools = context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    before, began = sent[0], time.perf_counter()
    page.goto(f"/topic?owner=admin&topic={quote(_TOPIC)}", wait_until="commit")
    legend = page.locator("lb-plot .plot-legend b").first
    while _number(legend.inner_text(timeout=60_000)) <= before:
        time.sleep(0.01)
    assert page.locator("lb-plot canvas").count() > 0
    took = time.perf_counter() - began
    context.close()
    return took


def _number(text: str) -> float:
    digits = "".join(one for one in text if one.isdigit() or one in ".-")
    return float(digits) if digits.strip(".-") else 0.0


def _weight(names: tuple[str, ...]) -> float:
    """Compressed size of bundles with the chunks that they import, kB."""
    seen: set[str] = set()
    waiting = [assets.manifest()[name] for name in names]
    total = 0
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        content = (assets.DIST / name).read_bytes()
        total += len(gzip.compress(content, 9))
        text = content.decode()
        waiting += [file.name for file in assets.DIST.glob("chunk-*.js") if file.name in text]
    return total / 1000


if __name__ == "__main__":
    main()
