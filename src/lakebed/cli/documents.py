"""Reads and checks documents for `check` and `apply`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from lakebed.vocabulary.errors import BadRequest, Invalid, Problem

if TYPE_CHECKING:
    from lakebed.documents.sections import DocumentSection

FILE = typer.Option("--file", "-f", help="YAML or JSON; - reads stdin.", show_default=False)
File = Annotated[Path, FILE]
_LARGEST = 4 * 2**20  # bytes; a typical document has a few KiB


class Document(NamedTuple):
    """What a file holds: its text, and for each section the entries as the API takes them."""

    text: str
    sections: dict["DocumentSection", list[dict[str, Any]]]


def sections() -> tuple["DocumentSection", ...]:
    """All that a document may have, in the order in which they are applied."""
    from lakebed.accounts import reports, shares, units
    from lakebed.boards import documents as boards
    from lakebed.policies.document import section as policies
    from lakebed.relays import documents as relays

    people = (units.section(), shares.section(), reports.section())
    return (policies("admin"), *people, boards.section(), relays.section())


def read(file: Path, known: "tuple[DocumentSection, ...] | None" = None) -> Document:
    """The sections of a file.

    Args:
        known: that there may be; None for all.

    Raises:
        Invalid: it has problems; the text of each is `FILE:LINE: path: what`.
    """
    from lakebed.documents.sections import read_document

    text, known = _text(file), known or sections()
    try:
        found = read_document(text, known)
        return Document(text, {s: found[s.name] for s in known if s.name in found})
    except Invalid as error:
        raise placed(file, error.problems) from None


def read_one(file: Path, section: "DocumentSection") -> dict[str, Any]:
    """The one entry that a file has of a section.

    Raises:
        Invalid: it holds none, or several, or has problems.
    """
    ((_, found),) = read(file, (section,)).sections.items()
    if len(found) != 1:
        what = f"there are {section.count(found)} in it: `lakebed apply` writes all of them"
        raise placed(file, (Problem(section.name, what),))
    return found[0]


def write_one(section: str, entry: dict[str, Any]) -> None:
    """Print an entry as YAML, which people write."""
    import yaml

    text = yaml.safe_dump({section: [entry]}, sort_keys=False, allow_unicode=True)
    typer.echo(text, nl=False)


def warn(file: Path, found: Document) -> list[Problem]:
    """Tell on stderr what is hardly meant in a document without mistakes; return it."""
    from lakebed.cli import output
    from lakebed.documents.sections import find_warnings

    warnings = find_warnings(found.text, list(found.sections))
    for one in warnings:
        output.note(f"warning: {_line(file, one)}")
    return warnings


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
