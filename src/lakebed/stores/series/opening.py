"""Opens a series store by its URL."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from lakebed.stores.series.clickhouse.client import (
    DELETE_TIMEOUT,
    ClickHouseSeries,
)
from lakebed.stores.series.clickhouse.embedded import EmbeddedSeries
from lakebed.stores.series.clickhouse.layout import Cluster, OneServer
from lakebed.stores.series.clickhouse.server import connect_server
from lakebed.stores.series.settings import SeriesSection
from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import SECOND

_DEFAULTS = SeriesSection()


def open_series(
    url: str, home: Path, make: bool = True, settings: SeriesSection = _DEFAULTS
) -> ClickHouseSeries:
    """Open by URL: `chdb:PATH` (relative to home), `clickhouse://…`, `clickhouses://…` (TLS).

    Args:
        make: whether to create missing tables.
        settings: its other settings; its `url` is not used.

    Raises:
        SettingsError: the URL has another scheme, or a setting does not fit it.
        StoreUnavailable: the store cannot be opened or its tables cannot be created.
    """
    series: ClickHouseSeries
    if url.startswith("chdb:"):
        if settings.cluster is not None:
            what = "chDB is one engine in this process: a cluster needs clickhouse://…"
            raise SettingsError(Problem("series.cluster", what))
        path = home / url.removeprefix("chdb:").removeprefix("//")
        path.mkdir(parents=True, exist_ok=True)
        series = EmbeddedSeries(path, settings.memory)
        series.drop_clones()
    elif re.match(r"clickhouses?://", url):
        if settings.memory is not None:
            what = "it is for chdb:PATH; a server has a setting of its own, max_server_memory_usage"
            raise SettingsError(Problem("series.memory", what))
        parts = urlsplit(url)
        timeout = settings.timeout / SECOND
        series = ClickHouseSeries(
            connect_server(parts, timeout),
            f"ClickHouse at {parts.netloc.rpartition('@')[2]}",
            connect_slow=connect_server(parts, DELETE_TIMEOUT),
            layout=Cluster(settings.cluster, timeout) if settings.cluster else OneServer(),
        )
    else:
        what = f"{url!r} is not chdb:PATH, clickhouse://… or clickhouses://…"
        raise SettingsError(Problem("series.url", what))
    if make:
        series.migrate()
    return series
