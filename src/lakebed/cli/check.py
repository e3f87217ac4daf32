"""`lakebed check`: is this policy document right? Needs no server."""

from lakebed.cli import documents, output


def check(file: documents.File) -> None:
    """Check a policy document; errors name file, line, place and what is allowed."""
    found = documents.read(file).documents
    output.note(f"{file}: {len(found)} {'policy' if len(found) == 1 else 'policies'}, all right")
