"""Reads and checks policy files for `check` and `apply`."""

import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from lakebed.vocabulary.errors import BadRequest, Invalid, Problem

File = Annotated[
    Path, typer.Option("--file", "-f", help="YAML or JSON; - reads stdin.", show_default=False)
]
_LARGEST = 4 * 2**20  # bytes; a typical policy document has a few KiB


class PolicyText(NamedTuple):
    """A file of policies: its text, and each policy as the API takes it."""

    text: str
    documents: list[dict[str, Any]]


def read(file: Path) -> PolicyText:
    """Read the policies of a file.

    Raises:
        Invalid: it has problems; the text of each is `FILE:LINE: path: what`.
    """
    from lakebed.policies.document import read_file

    text = _text(file)
    try:
        return PolicyText(text, read_file(text, "admin").documents)
    except Invalid as error:
        raise placed(file, error.problems) from None


def placed(file: Path, problems: tuple[Problem, ...]) -> Invalid:
    """Prefix each problem with its file and line, as compilers do."""
    return Invalid(*(Problem("", _line(file, problem)) for problem in problems))


def _line(file: Path, problem: Problem) -> str:
    place = str(file) if problem.line is None else f"{file}:{problem.line}"
    where = f"{problem.where}: " if problem.where else ""
    return f"{place}: {where}{problem.what}"


def _text(file: Path) -> str:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise BadRequest("--file", f"{file}: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise placed(file, (Problem("", f"is larger than {_LARGEST >> 20} MiB"),))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise placed(file, (Problem("", f"is not UTF-8: byte {error.start}"),)) from None
