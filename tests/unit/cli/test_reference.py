"""The page of commands names every command, option and exit code there is, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lakebed.cli.exits import Exit
from lakebed.cli.main import app

PAGE = Path(__file__).parents[3].joinpath("docs/reference/commands.md").read_text()


def commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


COMMANDS = dict(commands(typer.main.get_command(app), "lakebed"))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_place_on_the_page(name: str) -> None:
    assert re.search(rf"^###.*`{name}\b", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_on_the_page(name: str) -> None:
    options = {o for p in COMMANDS[name].params for o in p.opts if o.startswith("--")}
    assert {o for o in options - {"--help"} if f"`{o}" not in PAGE} == set()


def test_the_page_names_no_command_or_option_that_is_not_there() -> None:
    options = {o for command in COMMANDS.values() for p in command.params for o in p.opts}
    assert set(re.findall(r"`(--[a-z]+)", PAGE)) - options - {"--help"} == set()
    headings = re.findall(r"`(lakebed [a-z ]+?)(?: -f| [A-Z\[].*?)?`", PAGE)
    assert set(headings) <= set(COMMANDS)


@pytest.mark.parametrize("code", list(Exit))
def test_each_exit_code_is_on_the_page(code: Exit) -> None:
    assert f"| {code.value} | " in PAGE
