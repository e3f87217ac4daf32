"""`lakebed check`: is this document right? Needs no server."""

from lakebed.cli import documents, output
from lakebed.cli.options import Format, Shape


def check(file: documents.File, form: Format = Shape.TABLE) -> None:
    """Check a policy document; errors name file, line, key and what is allowed."""
    found = documents.read(file).sections
    counts = [section.count(entries) for section, entries in found.items()]
    answer = {section.name: len(entries) for section, entries in found.items()}
    output.done(answer, f"{file}: {', '.join(counts)}, all right", form)
