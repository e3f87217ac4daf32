"""What a command does before it does its work."""

from typing import Any

import pytest
import typer.main

from lakebed.cli.main import main


def test_only_the_command_that_is_run_is_prepared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = []
    prepare = typer.main.get_command_from_info

    def noted(**more: Any) -> Any:
        prepared.append(more["command_info"].callback.__name__)
        return prepare(**more)

    monkeypatch.setattr(typer.main, "get_command_from_info", noted)
    assert main(["send", "--help"]) == 0
    assert prepared == ["send"]
    assert main(["tokens", "--help"]) == 0
    assert len(prepared) == 1 + len(["add", "list", "show", "revoke", "remove"])


@pytest.mark.parametrize("arguments", [["--help"], [], ["nonsense"]])
def test_without_a_command_all_are_offered(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == (0 if arguments == ["--help"] else 2)
    told = "".join(capsys.readouterr())
    assert ("No such command" if arguments == ["nonsense"] else "dead-letters") in told
