"""Open a series store by its URL."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from lakebed.errors import Problem, SettingsError
from lakebed.series.clickhouse import PATIENCE, ClickHouseSeries, connect_server
from lakebed.series.embedded import EmbeddedSeries


def open_series(url: str, home: Path, make: bool = True) -> ClickHouseSeries:
    """Open by URL: `chdb:PATH` (relative to home), `clickhouse://…`, `clickhouses://…` (TLS).

    Args:
        make: whether to make tables that are missing; without it they are left to be missed.

    Raises:
        SettingsError: the URL is none of these.
        StoreUnavailable: the store cannot be opened or its tables cannot be made.
    """
    series: ClickHouseSeries
    if url.startswith("chdb:"):
        path = home / url.removeprefix("chdb:").removeprefix("//")
        path.mkdir(parents=True, exist_ok=True)
        series = EmbeddedSeries(path)
        series.drop_clones()
    elif re.match(r"clickhouses?://", url):
        parts = urlsplit(url)
        series = ClickHouseSeries(
            connect_server(parts),
            f"ClickHouse at {parts.hostname}",
            patient=connect_server(parts, PATIENCE),
        )
    else:
        what = f"{url!r} is not chdb:PATH, clickhouse://… or clickhouses://…"
        raise SettingsError(Problem("series.url", what))
    if make:
        series.migrate()
    return series
