"""`lakebed policies`: list the policies, and fill them from the journal's past."""

from typing import Annotated, Any

import typer

from lakebed.cli import filling, output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape
from lakebed.vocabulary.errors import BadRequest

_PATH = "/api/v1/policies"
_COLUMNS = ("name", "keep", "type", "topics", "settings")
_ELSEWHERE = {"name", "keep", "type", "topics"}


def policies(
    name: Annotated[
        str | None,
        typer.Argument(help="Show this one in full; or `fill`, and then the name of one."),
    ] = None,
    filled: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of `fill`: the one to fill.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete this one; what it kept stays readable.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Of `fill`: messages received then or later, such as -6h."),
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Of `fill`: end it; what it kept stays.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Of `fill`: until it has ended.")
    ] = True,
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """List the policies, or show one as the document that `apply` takes.

    `policies fill NAME --from -6h` keeps of the journal's past what a policy would have kept, had
    it been there; without --from it says how far that is.
    """
    if filled is not None:
        if name != "fill" or delete:
            raise BadRequest(filled, "name one policy; or to fill one, write: policies fill NAME")
        with access.server() as server:
            filling.fill(server, filled, owner, start, cancel, wait, form)
        return
    if start is not None or cancel:
        raise BadRequest("--from" if start else "--cancel", "write: policies fill NAME")
    if delete and name is None:
        raise BadRequest("--delete", "name the policy to delete")
    with access.server() as server:
        if name is not None:
            if delete:
                server.ask("DELETE", _PATH, name, owner=owner)
                output.done(
                    {"removed": name}, f"{name}: deleted; what it kept stays readable", form
                )
                return
            found = server.get(_PATH, name, owner=owner)
        else:
            found = server.get(_PATH, owner=owner)
    if form is Shape.JSON:
        output.document(found)
    elif name is not None:
        typer.echo(_yaml(found), nl=False)
    else:
        output.table([_row(policy) for policy in output.rows(found)], _COLUMNS)


def _row(policy: dict[str, Any]) -> dict[str, Any]:
    rest = [f"{k}={output.plain(v)}" for k, v in policy.items() if k not in _ELSEWHERE]
    return {
        **{key: policy.get(key) for key in ("name", "keep", "type")},
        "topics": " ".join(policy.get("topics", ())),
        "settings": " ".join(rest),
    }


def _yaml(found: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump({"policies": [found]}, sort_keys=False, allow_unicode=True)
    return text
