"""Printing: tables for people, JSON for programs, bytes only where a program reads them."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from lakebed.cli.options import Shape
from lakebed.vocabulary.errors import BadRequest

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = {c: None for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (0x09, 0x0A)}


def plain(value: object) -> str:
    """A value as text of one cell. Payloads are strangers' bytes: no control characters, which
    could move the cursor or retitle the terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return plain(" ".join(value))
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False).translate(_CONTROL)
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value).translate(_CONTROL).replace("\n", "⏎").replace("\t", " ")


def size(value: int) -> str:
    """`532 B`, `1.4 MiB`."""
    if value < 1024:
        return f"{value} B"
    scaled = float(value)
    for unit in ("KiB", "MiB", "GiB"):
        scaled /= 1024
        if scaled < 1024:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1024:.1f} TiB"


def console(stderr: bool = False) -> "Console":
    """Rich, as wide as the terminal; in a pipe as wide as the lines, so that nothing is cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else 100_000, highlight=False, soft_wrap=False
    )


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """One line a row. Columns are those of the rows, in order of appearance, unless given."""
    from rich.table import Table
    from rich.text import Text

    names = columns if columns is not None else list(dict.fromkeys(k for row in rows for k in row))
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        values = [row.get(name) for row in rows]
        grid.add_column(
            Text(name.replace("_", " ")),
            justify="right" if _numeric(values) else "left",
            overflow="fold",
        )
    for row in rows:
        grid.add_row(*(Text(plain(row.get(name))) for name in names))
    screen = console()
    with screen.capture() as captured:
        screen.print(grid)
    # without the blanks that fill the last column: they would wrap on a copied line
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _numeric(values: Iterable[Any]) -> bool:
    given = [v for v in values if v is not None]
    return bool(given) and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) for v in given
    )


def document(value: Any) -> None:
    """JSON, indented."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def note(text: str) -> None:
    """A line for the person, not for the pipe."""
    typer.echo(text, err=True)


@contextmanager
def opened(output: Path | None) -> Iterator[BinaryIO]:
    """The file, in place once it is whole; or stdout.

    Raises:
        BadRequest: the file cannot be written.
    """
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.exists() and not output.is_file():  # a device or a pipe is no file to replace
        with output.open("wb") as stream:
            yield stream
        return
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as stream:
            yield stream
        part.replace(output)
    except OSError as error:
        raise BadRequest("--output", f"{output}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def rows(found: Any) -> list[dict[str, Any]]:
    """The list in an answer: the answer itself, or the first list it holds."""
    if isinstance(found, list):
        return found
    lists = (value for value in found.values() if isinstance(value, list))
    return next(lists, [])


def listing(found: Any, noun: str, form: Shape) -> None:
    """An answer that is a list, as JSON or as a table; `noun` says what there is none of."""
    if form is Shape.JSON:
        document(found)
    elif listed := rows(found):
        table(listed)
    else:
        note(f"no {noun} yet")
