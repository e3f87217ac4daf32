"""Reads documents: sections with entries, each checked by its feature.

    text ──read_source──> {section: entries} ──DocumentSection.check──> all problems, with lines

To add a section: a `DocumentSection` beside the feature, a line in `cli/documents.py`, and its
entries in the one transaction of `api/routes/apply.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lakebed.documents.source import Path, Source, read_source
from lakebed.vocabulary.errors import Invalid, Problem, show

Check = Callable[[object], Sequence[tuple[Path, str]]]
"""Finds what is wrong with an entry: the path within it, and what is allowed there."""


@dataclass(frozen=True, slots=True)
class DocumentSection:
    """Attributes:
    name: its key in the document. Entries are written to `/api/v1/NAME/ENTRY`.
    entry: what one of them is called.
    warn: finds what is allowed in an entry without mistakes, and hardly meant; None if nothing is.
    """

    name: str
    entry: str
    check: Check
    warn: Check | None = None

    def count(self, entries: Sequence[object]) -> str:
        """`1 policy`, `3 policies`."""
        return f"{len(entries)} {self.entry if len(entries) == 1 else self.name}"


class Entry(NamedTuple):
    """An entry of a section.

    Attributes:
        where: its path, such as `policies[3]`.
        line: the 1-based line in which it begins.
        value: plain JSON values.
    """

    where: str
    line: int
    value: Any


def read_document(text: str, sections: Sequence[DocumentSection]) -> dict[str, list[Any]]:
    """Read YAML or JSON: sections by name, each with its entries as plain JSON values.

    See `read_entries`.
    """
    found = read_entries(text, sections)
    return {name: [entry.value for entry in entries] for name, entries in found.items()}


def read_entries(text: str, sections: Sequence[DocumentSection]) -> dict[str, list[Entry]]:
    """Read YAML or JSON: sections by name, each with its entries.

    Args:
        sections: that there may be. A bare list, or a single entry, is of the first one.

    Raises:
        Invalid: names everything that is wrong in any entry, with its line.
    """
    source = read_source(text)
    problems: list[Problem] = []
    found: dict[str, list[Entry]] = {}
    for section, base, value in _sections(source, sections):
        entries = list(_entries(source, section, base, value))
        problems += _problems(source, section, entries)
        found[section.name] = [
            Entry(_where(section, path), source.line(path), entry) for path, entry in entries
        ]
    if problems:
        raise Invalid(*sorted(problems, key=lambda problem: problem.line or 0))
    return found


def find_warnings(text: str, sections: Sequence[DocumentSection]) -> list[Problem]:
    """What is hardly meant in a text without mistakes, each with its line.

    Args:
        sections: those that have read it, which know all of its entries.
    """
    source = read_source(text)
    return [
        Problem(_where(section, (*path, *inner)), what, source.line((*path, *inner)))
        for section, base, value in _sections(source, sections)
        if section.warn is not None
        for path, entry in _entries(source, section, base, value)
        for inner, what in section.warn(entry)
    ]


def _where(section: DocumentSection, path: Path) -> str:
    """The path as text; that of an entry in a bare list names the section too."""
    bare = bool(path) and isinstance(path[0], int)
    return path_text((section.name, *path) if bare else path)


def path_text(path: Path) -> str:
    """`("filter", "allow", 0)` -> `filter.allow[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _sections(
    source: Source, sections: Sequence[DocumentSection]
) -> Iterator[tuple[DocumentSection, Path, Any]]:
    """Those that are there, each with its path and value."""
    root, known = source.value, {section.name: section for section in sections}
    if not isinstance(root, dict) or not known.keys() & root.keys():
        yield sections[0], (), root
        return
    for key, value in root.items():
        if key not in known:
            there = next(name for name in known if name in root)
            raise Invalid(_problem(source, (key,), f"there is no key `{key}` beside `{there}`"))
        yield known[key], (key,), value


def _entries(
    source: Source, section: DocumentSection, base: Path, value: Any
) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield (*base, index), entry
    elif isinstance(value, dict) and not base:
        yield (), value
    else:
        what = f"write a list of {section.name}, each beginning with `-`"
        raise Invalid(_problem(source, base, what))


def _problems(
    source: Source, section: DocumentSection, entries: Sequence[tuple[Path, Any]]
) -> Iterator[Problem]:
    names: dict[str, int] = {}
    for path, entry in entries:
        for inner, what in section.check(entry):
            at = (*path, *inner)
            yield Problem(_where(section, at), what, source.line(at))
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str):
            if name in names:
                what = (
                    f"{show(name)} is the name of the {section.entry} in line {names[name]} already"
                )
                at = (*path, "name")
                yield Problem(_where(section, at), what, source.line(at))
            names.setdefault(name, source.line((*path, "name")))


def _problem(source: Source, path: Path, what: str) -> Problem:
    return Problem(path_text(path), what, source.line(path))
