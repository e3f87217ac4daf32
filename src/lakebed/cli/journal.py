"""`lakebed journal`: its consumers, its damage, and another one in its place. For admins."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape
from lakebed.vocabulary.errors import Conflict

app = Commands("The journal: show it, acknowledge damage, drop a consumer, adopt another topic.")
_PATH = "/api/v1/journal"
_WHY = {
    "vanished": "Kafka deleted them before they were read",
    "damaged": "they cannot be decoded",
    "anew": "the topic was deleted and created again",
    "unwritten": "read and counted, but deleted before every policy had written them",
}


@app.command()
def show(form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """Show its partitions and who has them, who holds it, and what could not be read."""
    with access.server() as server:
        found = server.get(_PATH)
    if form is Shape.JSON:
        output.document(found)
        return
    output.table([_partition(part) for part in found["partitions"]])
    output.table([_row(consumer) for consumer in found["consumers"]])
    _print_damage(found["damage"])
    if found.get("change") is not None:
        _print_change(found["change"])


@app.command()
def adopt(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Adopt a Kafka topic that was created again or has grown; first show what is lost by it."""
    with access.server() as server:
        change = server.get(_PATH).get("change")
        if change is None:
            text = "the journal is the one in use: there is nothing to adopt"
            output.done({"adopted": False}, text, form)
            return
        if form is Shape.TABLE or not yes:
            _print_change(change, err=form is Shape.JSON)
        if change["hindrance"]:
            raise Conflict(change["hindrance"])
        if not yes:
            typer.confirm("Go on with this topic?", abort=True, err=True)
        seen = {**change["found"], "messages": change["lost"]}
        answer = server.ask("POST", _PATH, "adopt", **seen)
    text = f"adopted; {answer['lost']} messages are counted as lost"
    output.done({"adopted": True} | answer, text, form)


@app.command()
def acknowledge(
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Print what was damaged, and say that it was seen: the server is ready again."""
    with access.server() as server:
        damage = server.get(_PATH)["damage"]
        if form is Shape.TABLE:
            _print_damage(damage)
        if damaged := _is_damaged(damage):
            server.ask("POST", _PATH, "acknowledge-damage", messages=damage["messages"])
    if form is Shape.JSON:
        output.document({"acknowledged": damaged, "damage": damage})
    elif damaged:
        output.note("acknowledged")


@app.command("drop-consumer")
def drop_consumer(
    name: Annotated[str, typer.Argument(help="As `show` lists it.")],
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Forget a consumer that is gone, so that the journal keeps nothing for it."""
    with access.server() as server:
        server.ask("DELETE", _PATH, "consumers", name)
    output.done({"removed": name}, f"{name}: dropped", form)


def _partition(part: dict[str, Any]) -> dict[str, Any]:
    return {**part, "owner": part["owner"] or "nobody"}


def _row(consumer: dict[str, Any]) -> dict[str, Any]:
    age = consumer["age"]
    return {
        "consumer": consumer["name"],
        "reads now": consumer["live"],
        "at": f"{consumer['partition']}:{consumer['offset']}",
        "behind": consumer["behind"],
        "oldest": "" if age is None else f"{age:.0f} s ago",
        "held by": consumer["held_by"],
    }


def _is_damaged(damage: dict[str, Any]) -> bool:
    return bool(damage["messages"] or damage["salvaged"] or damage.get("lost"))


def _print_change(change: dict[str, Any], err: bool = False) -> None:
    typer.echo(output.plain(change["message"]), err=err)
    for which in ("used", "found"):
        topic = change[which]
        text = "none" if topic is None else f"id {topic['id']}, {topic['partitions']} partitions"
        typer.echo(f"  {which}: {text}", err=err)
    typer.echo(
        f"  lost by going on with it: {change['lost']} messages, accepted and never read, as far as"
        " is known",
        err=err,
    )
    if change["hindrance"]:
        typer.echo(f"  it cannot be adopted yet: {change['hindrance']}", err=err)


def _print_damage(damage: dict[str, Any]) -> None:
    if not _is_damaged(damage):
        output.note("no damage")
        return
    typer.echo(f"damaged: {damage['messages']} messages, of {damage['missing']} nothing is left")
    for block in damage["blocks"]:
        typer.echo(
            f"  {block['messages']} at {block['position']}, written {block['written']}: put aside"
        )
    if damage["salvaged"]:
        typer.echo("  the file was broken; what could be read is in a new one")
    for lost in damage.get("lost", ()):
        typer.echo(
            f"  {lost['messages']} behind {lost['position']}, noticed {lost['noticed']}:"
            f" {_WHY[lost['reason']]}"
        )
    for file in damage["files"]:
        typer.echo(f"  put aside: {output.plain(file)}")
