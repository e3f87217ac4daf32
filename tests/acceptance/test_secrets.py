"""A planted secret is in no answer, log, export, page, metric, file or backup of a real server."""

import shutil
from pathlib import Path

import pytest

from lakebed.secrets.keys import Keys, Unreadable
from lakebed.secrets.resolving import Secrets
from lakebed.stores.catalog.sql import open_catalog
from tests import processes
from tests.acceptance.test_backup import lakebed
from tests.server import Server

pytestmark = [pytest.mark.slow(10), pytest.mark.timeout(300)]

PLANTED = "pl4nted-8f3a1c-value"
RELAY = {
    "name": "out",
    "from": {"topics": ["#"]},
    "to": {"postgres": "secret:warehouse", "table": "m"},
}


def test_a_planted_value_is_found_nowhere(tmp_path: Path) -> None:
    home, backups = tmp_path / "home", tmp_path / "backups"
    value = f"postgresql://u:{PLANTED}@127.0.0.1:9/db"
    with Server(home, {"LOG__LEVEL": "debug"}) as server:
        url, token = server.url, server.token
        said = ""
        for name, given, fails in (("warehouse", value, False), ("warehouse", value * 500, True),
                                   ("a b", value, True)):  # fmt: skip
            (tmp_path / "given").write_text(given)
            words = ("secrets", "put", name, "-f", tmp_path / "given", "--url", url)
            done = processes.lakebed(*words, "--token", token)
            assert (done.returncode != 0) == fails, done.stderr
            said += done.stdout + done.stderr
        for body in (value, f'"{value}"', f'{{"value": ["{value}"]}}', f'{{"{value}": 1}}'):
            answer = server.request("PUT", "/api/v1/secrets/x", content=body)
            assert answer.status_code == 400
            said += answer.text + str(answer.headers)
        assert server.request("POST", "/api/v1/relays", json=RELAY).status_code == 201
        server.send("a/b", "1")
        for path in ("/api/v1/secrets", "/api/v1/audit", "/metrics", "/readyz", "/secrets",
                     "/api/v1/relays?status=true", "/api/openapi.json", "/node"):  # fmt: skip
            said += server.request("GET", path).text
        for words in (("secrets", "list"), ("export",), ("doctor",), ("audit",)):
            done = processes.lakebed(*words, "--url", url, "--token", token, "--home", str(home))
            said += done.stdout + done.stderr
        lakebed("backup", str(backups), "--home", str(home))
        assert server.request("DELETE", "/api/v1/secrets/warehouse").status_code == 409
        said += server.output
    said += server.output
    assert "warehouse" in said  # names are shown
    assert PLANTED not in said
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
