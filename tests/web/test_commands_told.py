"""Commands that pages tell to type are there, with their options."""

import re
from pathlib import Path

import pytest
import typer

from lakebed.cli.main import app

PAGES = Path(__file__).parents[2] / "src/lakebed/web"
TOLD = re.compile(r"<code>lakebed ([^<]+)</code>|`lakebed ([a-z][^`]*)`")


def told() -> list[str]:
    files = [*PAGES.glob("templates/**/*.html"), *PAGES.glob("pages/*.py")]
    found = (TOLD.findall(file.read_text()) for file in files)
    return sorted({one or other for many in found for one, other in many})


@pytest.mark.parametrize("line", told())
def test_a_command_that_a_page_tells_is_there(line: str) -> None:
    command = typer.main.get_command(app)
    for word in line.split():
        inner = getattr(command, "commands", None)
        if inner is None:
            break
        assert word in inner, f"there is no `lakebed {line}`"
        command = inner[word]
    known = {name for one in command.params for name in one.opts}
    assert {w for w in line.split() if re.fullmatch(r"--?[a-z-]+", w)} <= known
