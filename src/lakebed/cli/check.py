"""`lakebed check`: is this document right? Needs no server."""

from lakebed.cli import documents, output


def check(file: documents.File) -> None:
    """Check a policy document; errors name file, line, key and what is allowed."""
    found = documents.read(file).sections
    counts = [section.count(entries) for section, entries in found.items()]
    output.note(f"{file}: {', '.join(counts)}, all right")
