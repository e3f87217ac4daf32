"""chDB behind ClickHouse's HTTP interface.

    python -m tests.servers.clickhouse.serve FOLDER IP:PORT [CLUSTER]

    request ──> the settings in its URL choose a session ──> chDB (GIL released) ──> answer

The engine, its SQL and its formats are ClickHouse's own; only this shell is ours. Of the interface
(clickhouse.com/docs/interfaces/http) it speaks what clients send: settings, `database`, bound
parameters (`param_NAME`) and the query in the URL; a query, or the data of an INSERT, in the body;
bodies compressed by gzip, lz4 or zstd; errors with their code in a header. There are no users,
no sessions by `session_id`, no external data, no progress.

With CLUSTER it is a cluster's only node: Distributed tables, `clusterAllReplicas` and the macros
`{shard}` and `{replica}` are the engine's. It has no ClickHouse Keeper: what goes ON CLUSTER is
carried out here alone, and a Replicated table is made as the one that it would replicate.
"""

import asyncio
import gzip
import json
import os
import re
import sys
import tempfile
import threading
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import chdb
import lz4.frame
import uvicorn
import zstandard

_AT_ONCE = 8  # queries
_ROOM = 1 << 30  # bytes of one body, unpacked
_NO_SETTINGS = frozenset({
    "buffer_size", "client_protocol_version", "compress", "database", "decompress",
    "default_format", "enable_http_compression", "http_headers_progress_interval_ms", "password",
    "query", "query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check",
    "session_id", "session_timeout", "user", "wait_end_of_query",
})  # fmt: skip
"""Parameters of the URL that are for the HTTP interface and not for the engine."""
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data, _ROOM),
}
_INSERT = re.compile(
    rb"\s*(INSERT\s+INTO\s+[\w.`\"]+\s*(?:\([^)]*\))?)\s*FORMAT\s+(\w+)[ \t]*(?:\r?\n|\Z)", re.I
)
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)[\s;]*\Z", re.I)
_CODE = re.compile(r"Code: (\d+)")
_STATUS = {46: 404, 47: 404, 60: 404, 81: 404, 26: 400, 27: 400, 53: 400, 62: 400, 164: 403}
"""HTTP status of an error by its code, as the server has them; 500 for all others."""

_ON_CLUSTER = re.compile(r" ON CLUSTER '[^']*'")
_REPLICATED = re.compile(r"\bReplicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?")
_CONFIG = """
<clickhouse>
  <tcp_port>{port}</tcp_port>  <!-- nobody listens: by it the engine knows the node as itself -->
  <remote_servers><{cluster}><shard>
    <internal_replication>true</internal_replication>
    <replica><host>127.0.0.1</host><port>{port}</port></replica>
  </shard></{cluster}></remote_servers>
  <macros><cluster>{cluster}</cluster><shard>01</shard><replica>one</replica></macros>
</clickhouse>
"""

Headers = dict[str, str]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """Attributes:
    code: the number that ClickHouse gives such errors.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _CODE.search(message)
        self.code = int(found[1]) if found else 1002


class Engine:
    """Sessions of one chDB. A session does one thing at a time, so each request borrows one.

    Args:
        folder: where the data are, and what is on its way in.
        cluster: whose only node this is.
    """

    def __init__(self, folder: Path, port: int, cluster: str | None) -> None:
        self._data, self._incoming = str(folder / "data"), folder / "incoming"
        self._cluster = cluster
        if cluster is not None:
            config = folder / "config.xml"
            config.write_text(_CONFIG.format(cluster=cluster, port=port))
            self._data += f"?config-file={config}"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for left in self._incoming.iterdir():  # by one that was killed
            left.unlink()
        self._idle: dict[tuple[tuple[str, str], ...], list[Any]] = defaultdict(list)
        self._first = chdb.connect(self._data)  # the engine ends with its last session
        self.timezone = self._first.query("SELECT timezone()", "TSVRaw").bytes().decode().strip()

    def run(
        self, query: bytes, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> tuple[bytes, Headers]:
        """Returns the answer and what its headers tell of it.

        Args:
            settings: those of the engine, and `database`.

        Raises:
            Refused: the engine says no.
        """
        if self._cluster is not None:
            query = _alone(query)
        insert = _INSERT.match(query)
        if insert is not None:
            head, format = insert[1].decode(), insert[2].decode()
            return self._insert(head, format, query[insert.end() :], settings)
        named = _FORMAT.search(query)
        # without names a result that has no rows is not to be told from no result
        answer = self._ask(
            query.decode(), "TabSeparated" if named else "TabSeparatedWithNames",
            settings, parameters,
        )  # fmt: skip
        body = answer.bytes() or b""
        headers = _summary(read_rows=answer.rows_read(), read_bytes=answer.bytes_read())
        if named:
            headers["X-ClickHouse-Format"] = named[1].decode()
        elif body:
            headers["X-ClickHouse-Format"] = "TabSeparated"
            body = body.partition(b"\n")[2]
        return body, headers

    def _insert(
        self, head: str, format: str, data: bytes, settings: Mapping[str, str]
    ) -> tuple[bytes, Headers]:
        with tempfile.NamedTemporaryFile(dir=self._incoming, suffix=".data") as file:
            file.write(data)
            file.flush()
            query = f"{head} FROM INFILE '{file.name}' FORMAT {format}"
            answer = self._ask(query, "TabSeparated", settings, {})
        return b"", _summary(written_rows=answer.rows_read(), written_bytes=answer.bytes_read())

    def _ask(
        self,
        query: str,
        format: str,
        settings: Mapping[str, str],
        parameters: Mapping[str, str],
    ) -> Any:
        idle = self._idle[tuple(sorted(settings.items()))]
        try:
            session = idle.pop() if idle else self._open(settings)
            answer = session.query(query, format, params=dict(parameters))
        except Exception as error:  # the session may be in any state: it is not used again
            raise Refused(str(error)) from error
        idle.append(session)
        return answer

    def _open(self, settings: Mapping[str, str]) -> Any:
        session = chdb.connect(self._data)
        for name, value in settings.items():
            if name == "database":
                session.query(f"USE {_quoted(value, '`')}")
            elif not re.fullmatch(r"\w+", name):
                raise Refused(f"Code: 115. DB::Exception: Unknown setting {name!r}.")
            else:
                session.query(f"SET {name} = {_quoted(value, chr(39))}")
        return session


def _alone(query: bytes) -> bytes:
    """A statement for a cluster as this node carries it out."""
    if re.match(rb"\s*(CREATE|ALTER|DROP)\b", query):
        here = _ON_CLUSTER.sub("", query.decode())
        return _REPLICATED.sub(r"\1(", here).encode()
    return query


def _quoted(text: str, mark: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"


def _summary(**counts: int) -> Headers:
    told = {name: str(count) for name, count in counts.items()}
    return {"X-ClickHouse-Summary": json.dumps(told)}


class Interface:
    """The ASGI application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(_AT_ONCE)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        body = await _body(receive)
        if scope["path"] == "/ping":
            await _answer(send, 200, b"Ok.\n", {})
            return
        url = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        asked = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        loop = asyncio.get_running_loop()
        status, answer, headers = await loop.run_in_executor(
            self._threads, self._serve, url, asked, body
        )
        headers["X-ClickHouse-Query-Id"] = url.get("query_id") or str(uuid.uuid4())
        headers["X-ClickHouse-Server-Display-Name"] = "chdb"
        headers["X-ClickHouse-Timezone"] = self._engine.timezone
        await _answer(send, status, answer, headers)

    def _serve(
        self, url: dict[str, str], asked: Headers, body: bytes
    ) -> tuple[int, bytes, Headers]:
        parameters = {k.removeprefix("param_"): v for k, v in url.items() if k.startswith("param_")}
        settings = {
            name: value
            for name, value in url.items()
            if not name.startswith("param_") and name not in _NO_SETTINGS
        }
        if database := url.get("database"):
            settings["database"] = database
        try:
            data = _unpacked(body, asked.get("content-encoding", ""))
            query = b"\n".join(part for part in (url.get("query", "").encode(), data) if part)
            answer, headers = self._engine.run(query, settings, parameters)
        except Refused as error:
            headers = {"X-ClickHouse-Exception-Code": str(error.code)}
            return _STATUS.get(error.code, 500), f"{error}\n".encode(), headers
        if url.get("enable_http_compression") == "1" and "zstd" in asked.get("accept-encoding", ""):
            headers["Content-Encoding"] = "zstd"
            answer = zstandard.compress(answer, 1)
        return 200, answer, headers


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding not in _UNPACK:
        raise Refused(f"Code: 432. DB::Exception: Unknown content encoding {encoding!r}.")
    try:
        return _UNPACK[encoding](body)
    except (OSError, EOFError, RuntimeError, zstandard.ZstdError) as error:
        raise Refused(f"Code: 354. DB::Exception: {error}") from error


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def _end_with_parent() -> None:
    """Tests that are killed leave no server behind: their end of the pipe closes."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder, address, *cluster = sys.argv[1:]
    ip, port = address.split(":")
    uvicorn.run(
        Interface(Engine(Path(folder), int(port), cluster[0] if cluster else None)),
        host=ip, port=int(port), log_level="warning", lifespan="off",
        timeout_graceful_shutdown=5, backlog=128,
    )  # fmt: skip
