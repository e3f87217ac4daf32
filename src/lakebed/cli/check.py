"""`lakebed check`: is this document right? Needs no server."""

from typing import Any

from lakebed.cli import documents, output
from lakebed.cli.options import Format, Shape


def check(file: documents.File, form: Format = Shape.TABLE) -> None:
    """Check a document: mistakes by file, line and key; warnings refuse nothing."""
    document = documents.read(file)
    warnings = documents.warn(file, document)
    found = document.sections
    counts = [section.count(entries) for section, entries in found.items()]
    answer: dict[str, Any] = {s.name: len(entries) for s, entries in found.items()}
    if warnings:
        shown = [{"where": one.where, "what": one.what, "line": one.line} for one in warnings]
        answer["warnings"] = shown
    right = "all right" if not warnings else "no mistakes"
    output.done(answer, f"{file}: {', '.join(counts)}, {right}", form)
