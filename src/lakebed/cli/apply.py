"""`lakebed apply`: check a document as a whole, and have the server write all of it or nothing."""

import typer

from lakebed.cli import documents, exact, output
from lakebed.cli.options import ACCESS, Access, Format, Shape
from lakebed.vocabulary.errors import Denied, Invalid, Unauthenticated


def apply(
    file: documents.File,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Write all of a file: created, changed or unchanged. What is not in it stays as it is."""
    found = documents.read(file)
    documents.warn(file, found)
    with access.server() as server:
        headers = {"Content-Type": "application/yaml"}
        try:
            answer = server.request(
                "POST", "/api/v1/apply", content=found.text.encode(), headers=headers
            )
        except Invalid as error:  # the server may know newer rules
            raise documents.placed(file, error.problems) from None
        except Unauthenticated:
            raise
        except Denied as error:
            raise Denied(f"{file}: {error}") from None
    if form is Shape.JSON:
        output.document(exact.loads(answer.content))
        return
    for section in exact.loads(answer.content).values():
        for entry in section:
            typer.echo(f"{entry['name']}: {entry['change']}")
