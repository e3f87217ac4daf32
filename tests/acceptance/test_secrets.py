"""A planted secret is in no answer, log, export, page, metric, file or backup of a real server."""

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lakebed.secrets.keys import Keys, Unreadable
from lakebed.secrets.resolving import Secrets
from lakebed.stores.catalog.sql import open_catalog
from tests import processes
from tests.acceptance.test_backup import lakebed
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(10), pytest.mark.timeout(300)]

PLANTED = "pl4nted-8f3a1c-value"
ASKED = ("/api/v1/secrets", "/api/v1/audit", "/metrics", "/readyz", "/api/v1/relays?status=true",
         "/api/v1/dead-letters", "/api/openapi.json", "/secrets", "/relays", "/node")  # fmt: skip
TARGETS = {
    "rows": {"postgres": "secret:warehouse", "table": "m"},
    "hook": {"http": "secret:hook", "sign": "secret:hook"},
}


class Echo(BaseHTTPRequestHandler):
    """Refuses everything, and repeats what it was asked."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(422, "no")
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers}".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a receiver."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_planted_value_is_found_nowhere(tmp_path: Path, echo: int) -> None:
    home, backups = tmp_path / "home", tmp_path / "backups"
    value = f"postgresql://u:{PLANTED}@127.0.0.1:9/db"
    hook = f"http://u:{PLANTED}@127.0.0.1:{echo}/{PLANTED}?token={PLANTED}"
    settings = {"LOG__LEVEL": "debug", "RELAYS__ALLOW_PRIVATE": "127.0.0.0/8"}
    with Server(home, settings) as server:
        url, token = server.url, server.token
        said = ""
        given = {"warehouse": value, "hook": hook, "long": value * 500, "a b": value}
        for name, text in given.items():
            (tmp_path / "given").write_text(text)
            words = ("secrets", "put", name, "-f", tmp_path / "given", "--url", url)
            done = processes.lakebed(*words, "--token", token)
            assert (done.returncode != 0) == (name in ("long", "a b")), done.stderr
            said += done.stdout + done.stderr
        for body in (value, f'"{value}"', f'{{"value": ["{value}"]}}', f'{{"{value}": 1}}'):
            answer = server.request("PUT", "/api/v1/secrets/x", content=body)
            assert answer.status_code == 400
            said += answer.text + str(answer.headers)
        for name, to in TARGETS.items():
            relay = {"name": name, "from": {"topics": ["#"]}, "to": to}
            assert server.request("POST", "/api/v1/relays", json=relay).status_code == 201
        server.send("a/b", "1")
        eventually(lambda: server.get("/api/v1/relays/rows")["status"]["error"])
        eventually(lambda: server.get("/api/v1/relays/hook")["status"]["refused"])
        for path in ASKED:
            said += server.request("GET", path).text
        for words in (("secrets", "list"), ("export",), ("doctor",), ("audit",)):
            done = processes.lakebed(*words, "--url", url, "--token", token, "--home", str(home))
            said += done.stdout + done.stderr
        lakebed("backup", str(backups), "--home", str(home))
        assert server.request("DELETE", "/api/v1/secrets/warehouse").status_code == 409
        said += server.output
    said += server.output
    assert "warehouse" in said  # names are shown
    assert "the target answers 422" in said
    assert PLANTED not in said
    key = (home / "secrets.keys").read_bytes().strip()
    assert key.decode() not in said
    assert [file for file in _files(backups) if key in file.read_bytes()] == []
    written = [*_files(home), *_files(backups)]
    assert [file for file in written if PLANTED.encode() in file.read_bytes()] == []
    lakebed("restore", str(backups), "--home", str(tmp_path / "restored"))
    _check_restored(tmp_path / "restored", home / "secrets.keys", value)


def _check_restored(home: Path, keys: Path, value: str) -> None:
    """A backup has the ciphertext, and whoever has the key too has the value."""
    catalog = open_catalog("sqlite:catalog.db", home)
    try:
        with pytest.raises(Unreadable, match=r"secrets\.keys"):
            Secrets(catalog, Keys(home, None)).resolve("admin", "secret:warehouse")
        shutil.copy(keys, home)
        restored = Secrets(catalog, Keys(home, None)).resolve("admin", "secret:warehouse")
        assert restored.reveal() == value
    finally:
        catalog.close()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
