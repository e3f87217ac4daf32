"""Prints tables for people, and JSON or bytes for programs."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from lakebed.cli import exact
from lakebed.cli.options import Shape
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.sizes import rounded_size

if TYPE_CHECKING:
    from rich.console import Console

_FRACTION = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z")
_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_MANY = 2_000  # rows of a table
_CONTROL = {c: None for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (0x09, 0x0A)}


def plain(value: object) -> str:
    """Format a value for a cell, without control characters.

    Payloads come from others and must not move the cursor or retitle the terminal.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return plain(" ".join(value))
    if isinstance(value, (dict, list)):
        return exact.dumps(value).translate(_CONTROL)
    if isinstance(value, float):
        return str(value) if isinstance(value, exact.Written) else f"{value:.10g}"
    return str(value).translate(_CONTROL).replace("\n", "⏎").replace("\t", " ")


size = rounded_size


class Figure(str):
    """A number with its unit, which a table aligns to the right."""

    __slots__ = ()


def seconds(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with RFC 3339 times in whole seconds: people read those, `--json` has them exact."""
    return [{key: _in_seconds(value) for key, value in row.items()} for row in rows]


def _in_seconds(value: Any) -> Any:
    found = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}Z" if found else value


def record(fields: Mapping[str, Any]) -> None:
    """Print one thing, a line for each field; `-` is none."""
    (whole,) = seconds([fields])
    names = {name: name.replace("_", " ") for name in whole}
    width = max(map(_width, names.values()), default=0)
    for name, value in whole.items():
        typer.echo(f"{names[name].ljust(width)}  {_pairs(value) or '-'}")


def _pairs(value: object) -> str:
    if isinstance(value, dict) and not any(isinstance(v, (dict, list)) for v in value.values()):
        return ", ".join(f"{plain(key)}: {plain(item)}" for key, item in value.items())
    return plain(value)


def console(stderr: bool = False) -> "Console":
    """A Rich console as wide as the terminal, or in a pipe as wide as its lines need."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream, width=None if stream.isatty() else 100_000, highlight=False, soft_wrap=False
    )


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    spare: Sequence[str] = (),
) -> None:
    """Print one line for each row. Without `columns` all are shown, in order of appearance.

    On a terminal that is too narrow columns of `spare` are left out, the first one first.

    Many rows are printed as plain columns, which do not fold: Rich takes 0.1 ms for each cell, and
    holds all of them.
    """
    names = columns if columns is not None else list(dict.fromkeys(k for row in rows for k in row))
    names = _fitting(rows, names, spare)
    if len(rows) > _MANY:
        sys.stdout.writelines(line + "\n" for line in _aligned(rows, names))
    else:
        _drawn(rows, names)


def _fitting(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], spare: Sequence[str]
) -> Sequence[str]:
    if not (spare and sys.stdout.isatty()):
        return names
    cells = {
        name: 2 + max(len(name), *(_width(plain(row.get(name))) for row in rows)) for name in names
    }
    width = console().width + 2
    for name in spare:
        if sum(cells.values()) <= width:
            break
        cells.pop(name, None)
    return list(cells)


def _aligned(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """The lines of a table: cells are formatted twice, first to measure them, rather than held."""
    heads = [name.replace("_", " ") for name in names]
    widths, pads = [], []
    for name, head in zip(names, heads, strict=True):
        widths.append(max(_width(head), max(_width(plain(row.get(name))) for row in rows)))
        pads.append(str.rjust if _numeric(row.get(name) for row in rows) else str.ljust)
    for cells in chain([heads], ([plain(row.get(name)) for name in names] for row in rows)):
        padded = (
            pad(cell, width - _width(cell) + len(cell))
            for pad, cell, width in zip(pads, cells, widths, strict=True)
        )
        yield "  ".join(padded).rstrip()


def _width(text: str) -> int:
    """Cells of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _drawn(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        values = [row.get(name) for row in rows]
        grid.add_column(
            Text(name.replace("_", " ")),
            justify="right" if _numeric(values) else "left",
            overflow="fold",
            no_wrap=_are_times(values),
        )
    for row in rows:
        grid.add_row(*(Text(plain(row.get(name))) for name in names))
    screen = console()
    with screen.capture() as captured:
        screen.print(grid)
    # without the blanks that fill the last column: a copied line would wrap
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _numeric(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values} - {type(None)}
    return bool(kinds) and kinds <= {int, float, Figure, exact.Written}


def _are_times(values: Iterable[Any]) -> bool:
    """Whether a column has times alone, in whole seconds: those do not fold."""
    texts = [value for value in values if value]
    return bool(texts) and all(isinstance(t, str) and _SECONDS.fullmatch(t) for t in texts)


def document(value: Any) -> None:
    """Print indented JSON."""
    typer.echo(exact.dumps(value, indent=2))


def note(text: str) -> None:
    """Print a line for people, to stderr."""
    typer.echo(text, err=True)


@contextmanager
def opened(output: Path | None) -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete, or stdout.

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
    """Return the list in an answer: the answer itself, or the first list in it."""
    if isinstance(found, list):
        return found
    lists = (value for value in found.values() if isinstance(value, list))
    return next(lists, [])


def one(found: Mapping[str, Any], form: Shape) -> None:
    """Print one thing, as JSON or a line for each field."""
    if form is Shape.JSON:
        document(found)
    else:
        record(found)


def secret(made: Mapping[str, Any], name: str, form: Shape) -> None:
    """Print what was made as JSON, or of it the one field that is shown once, alone."""
    if form is Shape.JSON:
        document(made)
    else:
        typer.echo(made[name])


def done(answer: Mapping[str, Any], text: str, form: Shape) -> None:
    """Print what a command did, as JSON or as a line for people."""
    if form is Shape.JSON:
        document(answer)
    else:
        note(text)


def listing(
    found: Any,
    empty: str,
    form: Shape,
    spare: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> None:
    """Print an answer's list as JSON, or as a table with times in whole seconds.

    `empty` says that there is nothing, and why; see `table` for the others.
    """
    if form is Shape.JSON:
        document(found)
    elif listed := rows(found):
        table(seconds(listed), columns, spare)
    else:
        note(empty)
