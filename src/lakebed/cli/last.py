"""`lakebed last`: show the last values of topics."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import TOLERANCE
from lakebed.cli.options import ACCESS, Access, Format, FromOwner, Shape
from lakebed.vocabulary.errors import NotFound
from lakebed.vocabulary.times import now, to_rfc3339


def last(
    topic: Annotated[str, typer.Argument(help="A topic, or a filter such as 'plant/+/temp'.")],
    field: Annotated[
        list[str] | None, typer.Option(help="Only this field; may be given several times.")
    ] = None,
    owner: FromOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """Show last values, as the `last_value` policies keep them."""

    key = "filter" if "+" in topic or "#" in topic else "topic"
    with access.server() as server:
        found = server.get("/api/v1/last", **{key: topic}, field=field or None, owner=owner)
    if not output.rows(found):
        what = topic if owner is None else f"{topic} of {owner}"
        raise NotFound(f"no last value of {what}: does a policy with `keep: last_value` name it?")
    output.listing(found, "no last values yet", form)
    _note_future(output.rows(found))


def _note_future(records: list[dict[str, Any]]) -> None:
    """Say where newer messages do not replace what is shown."""
    at = to_rfc3339(now() + TOLERANCE)
    ahead = sorted({record["topic"] for record in records if record.get("time", "") > at})
    if ahead:
        more = f" and {len(ahead) - 1} more" if len(ahead) > 1 else ""
        output.note(
            f"{ahead[0]}{more}: its time lies in the future; the next message replaces it, if this "
            f"server's clock is right; to delete it: lakebed forget {ahead[0]} --from now"
        )
