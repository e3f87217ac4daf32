"""Commands speak with one voice: whatever prints data prints it for programs too, in one way."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from lakebed.cli.main import app

from .conftest import FakeServer, Reply, Run

PRINTS_NO_DATA = {
    "up": "it serves until it is stopped",
    "serve": "it serves until it is stopped",
    "demo": "it serves until it is stopped",
    "events script": "it prints a program",
    "dev bus": "it serves until it is stopped",
    "simulate": "it sends until it is stopped, and says how many",
}


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its full name, groups left out."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def flags(command: Any) -> set[str]:
    return {flag for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - PRINTS_NO_DATA))
def test_a_command_that_prints_data_has_json_and_format(name: str) -> None:
    assert flags(COMMANDS[name]) >= {"--json", "--format"}


def test_commands_that_print_no_data_are_there() -> None:
    assert COMMANDS.keys() >= PRINTS_NO_DATA.keys()


@pytest.mark.parametrize("asked", [("--json",), ("--format", "json"), ("--json", "--format=json")])
def test_json_is_short_for_the_format(run: Run, server: FakeServer, asked: tuple[str, ...]) -> None:
    server.on("GET", "/api/v1/usage", Reply(200, {"usage": []}))
    assert run("usage", *asked).out == '{\n  "usage": []\n}\n'


def test_json_and_another_format_contradict_each_other(run: Run, server: FakeServer) -> None:
    result = run("query", "a", "--format", "csv", "--json")
    assert (result.code, server.seen) == (2, [])
    assert "--json: it is short for --format json" in result.err


def test_json_of_a_stream_is_a_document_on_each_line(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/tap", Reply(200, '{"topic": "a", "value": 1}\n'))
    assert run("tap", "#", "--json").out == '{"topic": "a", "value": 1}\n'


def test_what_changes_something_answers_programs(run: Run, server: FakeServer) -> None:
    server.on("DELETE", "/api/v1/oidc/clients/grafana", Reply(204))
    assert (
        run("oidc", "remove", "grafana", "--yes", "--json").out == '{\n  "removed": "grafana"\n}\n'
    )


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("query", "roof/1"), "/api/v1/records", {"records": []}),
        (("last", "roof/1"), "/api/v1/last", {"records": [{"topic": "roof/1"}]}),
        (("topics",), "/api/v1/topics", {"topics": [], "next": None}),
        (("flow",), "/api/v1/flow", {"received": 0}),
        (("usage",), "/api/v1/usage", {"usage": []}),
        (("policies",), "/api/v1/policies", {"policies": []}),
        (("tap", "roof/#"), "/api/v1/tap", ""),
    ],
)
def test_what_belongs_to_others_is_asked_for_by_owner(
    run: Run, server: FakeServer, arguments: tuple[str, ...], path: str, body: Any
) -> None:
    server.on("GET", path, Reply(200, body))
    assert run(*arguments, "--owner", "ann").code == 0
    assert server.seen[0].query["owner"] == "ann"


def test_messages_are_sent_to_topics_of_others(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("POST", "/api/v1/messages", Reply(202, {"accepted": 1}))
    server.on("POST", "/api/v1/messages/batch", Reply(202, {"accepted": 1, "rejected": []}))
    assert run("send", "roof/1", "5", "--owner", "ann", "--json").out == '{\n  "accepted": 1\n}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"1\n")))
    assert run("send", "roof/1", "--lines", "--owner", "ann").code == 0
    assert [request.query["owner"] for request in server.seen] == ["ann", "ann"]


@pytest.mark.parametrize("arguments", [("oidc", "show"), ("owners", "show"), ("units", "show")])
def test_a_name_is_one_level_of_the_path(
    run: Run, server: FakeServer, arguments: tuple[str, ...]
) -> None:
    run(*arguments, "a/../b?c")
    assert server.seen[0].path.endswith("/a%2F..%2Fb%3Fc")
