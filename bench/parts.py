"""Small parts by themselves, each beside the way it was before: CPU time, the best of several runs.

python -m bench.parts
"""

import importlib.util
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec
import numpy as np
import pyarrow as pa
from tests.principals import of_token

from bench.load import Load, topic, value
from lakebed.kinds.window import WINDOW
from lakebed.policies.values import decode_each, read_numbers
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.sources.http import ndjson
from lakebed.sources.mqtt.codec import plain
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.stores.series.clickhouse.schema import create
from lakebed.vocabulary.times import SECOND

_RUNS = 7
_MESSAGES = 200  # of one read
_INSERTS = 60
_MERGE_AT = "merge_selector_base = 10"


def main() -> None:
    decoding()
    numbers()
    batches()
    settings()
    merging()


def best(work: Callable[[], Any], times: int) -> float:
    """CPU seconds of this thread for one call."""
    found = []
    for _ in range(_RUNS):
        began = time.thread_time()
        for _ in range(times):
            work()
        found.append((time.thread_time() - began) / times)
    return min(found)


def told(what: str, seconds: float, unit: float, name: str) -> None:
    print(f"  {what:52} {seconds / unit:8.3f} {name}")


def decoding() -> None:
    print("a plain publish, in reads of 200")
    dice, load = random.Random(1), Load(0, "", 0)
    topics = [topic(i, load) for i in range(1000)]
    known = {len(t).to_bytes(2, "big") + t.encode(): t for t in topics}
    data = b"".join(
        publish(dice.choice(topics), b"%.2f" % value(i), 1, i + 1, version=4)
        for i in range(_MESSAGES)
    )
    kinds = bytes(head >> 1 & 3 if head >> 4 == 3 else 3 for head in range(256))
    spec = importlib.util.spec_from_file_location(
        "plain_source", Path(plain.__file__).with_name("plain.py")
    )
    assert spec is not None
    assert spec.loader is not None
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    for name, module in (("as installed", plain), ("plain Python", source)):
        columns: tuple[list[Any], list[bytes], list[bytes]] = ([], [], [])

        def work(module: Any = module, columns: Any = columns) -> None:
            for column in columns:
                column.clear()
            module.decode_plain(data, 0, 1, kinds, False, 65_536, known, *columns)

        work()
        assert len(columns[1]) == _MESSAGES
        told(name, best(work, 200) / _MESSAGES, 1e-6, "µs")


def numbers() -> None:
    print("a number out of a payload, in stretches of 10,000")
    payloads = [b"%.2f" % value(i) for i in range(10_000)]
    decode = msgspec.json.Decoder(float).decode
    one_by_one = lambda: np.array(decode_each(decode, payloads)[0], np.float64)  # noqa: E731
    told("as one array", best(lambda: read_numbers(payloads), 20) / 10_000, 1e-6, "µs")
    told("one by one", best(one_by_one, 20) / 10_000, 1e-6, "µs")


def batches() -> None:
    print("a line of NDJSON, in bodies of 1,000")
    load = Load(0, "", 0)
    body = "\n".join(
        f'{{"topic":"{topic(i, load)}","value":{value(i):.2f}}}' for i in range(1000)
    ).encode()

    def sender() -> ndjson.Sender:
        return ndjson.Sender(of_token(StoredToken("ann", "all")), 65_536)

    kept = sender()
    told("topics remembered", best(lambda: ndjson.batch(body, kept), 20) / 1000, 1e-6, "µs")
    told("topics looked up anew", best(lambda: ndjson.batch(body, sender()), 20) / 1000, 1e-6, "µs")


def settings() -> None:
    print("SELECT 1 in chDB")
    given = {"compile_expressions": 0, "do_not_merge_across_partitions_select_final": 1}
    with tempfile.TemporaryDirectory() as folder:
        client = clickhouse_connect.get_client(dsn=f"chdb://{Path(folder).resolve()}")
        client.set_client_setting("output_format_arrow_string_as_string", 1)
        told(
            "settings of the session", best(lambda: client.query_arrow("SELECT 1"), 30), 1e-3, "ms"
        )
        along = lambda: client.query_arrow("SELECT 1", settings=given)  # noqa: E731
        told("settings along with the query", best(along, 10), 1e-3, "ms")
        client.close()


def merging() -> None:
    print(f"a row inserted and merged, {_INSERTS} inserts of 30,000")
    with tempfile.TemporaryDirectory() as folder:
        client = clickhouse_connect.get_client(dsn=f"chdb://{Path(folder).resolve()}")
        ours = create(WINDOW, "default.ours")
        assert _MERGE_AT in ours
        theirs = create(WINDOW, "default.theirs").replace(_MERGE_AT, "merge_selector_base = 5")
        client.command(ours)
        client.command(theirs)
        told("parts merged by ten", _merged(client, "ours"), 1e-6, "µs")
        told("by five, as ClickHouse does", _merged(client, "theirs"), 1e-6, "µs")
        client.close()


def _merged(client: Any, table: str) -> float:
    """CPU seconds a row, of all threads; several inserts a second, while merges keep up."""
    topics = np.array([topic(i, Load(0, "", 0, topics=10_000)) for i in range(10_000)])
    names = pa.array(np.tile(topics, 3))
    began, n = time.process_time(), len(names)
    for i in range(_INSERTS):
        at = pa.array(np.arange(n) + (1_800_000_000 + i) * SECOND).cast(pa.timestamp("us", "UTC"))
        owner, policy = (pa.array([text] * n) for text in ("ann", "hour"))
        columns = [owner, policy, names, at, pa.array(np.arange(i * n, (i + 1) * n))]
        rows = pa.table(columns, ["owner", "policy", "topic", "time", "offset"])
        client.insert_arrow(table, rows)
        time.sleep(0.2)
    while client.query_arrow("SELECT 1 FROM system.merges").num_rows:
        time.sleep(0.1)
    return (time.process_time() - began) / (_INSERTS * n)


if __name__ == "__main__":
    main()
