"""`lakebed secrets`: the value comes from stdin or a file, never from the command line."""

import io
import json
import sys
from pathlib import Path

import pytest

from .conftest import FakeServer, Reply, Run

SECRETS = "/api/v1/secrets"


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"v4lue", "v4lue"), (b"v4lue\n", "v4lue"), (b"v4lue\r\n", "v4lue"), (b"a\nb\n\n", "a\nb\n")],
)
def test_put_sends_what_stdin_has(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch, data: bytes, value: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    server.on("PUT", f"{SECRETS}/ops", Reply(201, {"name": "ops"}))
    result = run("secrets", "put", "ops", "--owner", "ann")
    assert json.loads(server.seen[0].body) == {"value": value}
    assert server.seen[0].query == {"owner": "ann"}
    assert "secret:ops" in result.err
    assert "v4lue" not in result.out + result.err


def test_put_reads_a_file_and_takes_no_value_as_an_argument(run: Run, server: FakeServer) -> None:
    Path("key.pem").write_text("-----BEGIN\nx\n")
    server.on("PUT", f"{SECRETS}/ops", Reply(201, {"name": "ops"}))
    assert run("secrets", "put", "ops", "-f", "key.pem").code == 0
    assert json.loads(server.seen[0].body) == {"value": "-----BEGIN\nx"}
    assert run("secrets", "put", "ops", "value").code == 2


def test_list_names_what_uses_each(run: Run, server: FakeServer) -> None:
    used = [{"section": "relays", "name": "m"}, {"section": "contacts", "name": "c"}]
    one = {"name": "ops", "writer": "user:ann", "created": "2026-01-31T12:00:00Z"}
    server.on("GET", SECRETS, Reply(200, {"secrets": [one | {"used_by": used}]}))
    assert "relays/m contacts/c" in run("secrets", "list").out


def test_remove_of_one_in_use_says_how(run: Run, server: FakeServer) -> None:
    told = "relays/m refer to the secret 'ops': change them first, or repeat it with force=true"
    server.on("DELETE", f"{SECRETS}/ops", Reply(409, {"title": "Conflict", "detail": told}))
    result = run("secrets", "remove", "ops")
    assert result.code != 0
    assert "use --force" in result.err
    server.on("DELETE", f"{SECRETS}/ops", Reply(204))
    assert run("secrets", "remove", "ops", "--force").code == 0
    assert server.seen[-1].query == {"force": "true"}


def test_rotate_says_how_many(run: Run, server: FakeServer) -> None:
    server.on("POST", f"{SECRETS}/rotate", Reply(200, {"key": "8c1f", "secrets": 3, "former": 1}))
    assert "3 secrets are encrypted by the key 8c1f" in run("secrets", "rotate").err
