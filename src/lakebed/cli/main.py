"""`lakebed`: the list of commands. Here alone errors become lines and exit codes."""

import copy
import io
import sys
from collections.abc import Callable, Sequence

import typer

from lakebed.access.actions import Action
from lakebed.access.decision import INSTANCE, require
from lakebed.access.principals import OPERATOR
from lakebed.cli import (
    apply,
    audit,
    backups,
    boards,
    check,
    dead_letters,
    demo,
    dev,
    doctor,
    events,
    export,
    flow,
    forget,
    invitations,
    journal,
    last,
    ledger,
    load,
    migrate,
    oidc,
    owners,
    parked,
    policies,
    query,
    refusals,
    relays,
    secrets,
    send,
    series,
    serve,
    shares,
    simulate,
    tap,
    tokens,
    topics,
    units,
    up,
    usage,
    users,
)
from lakebed.cli.exits import Exit, exit_code, lines
from lakebed.cli.options import Commands
from lakebed.stores.home import keep_new_files_private
from lakebed.system.advice import reason
from lakebed.system.extras import missing
from lakebed.vocabulary.errors import Fatal, LakebedError

app = Commands(
    "Takes messages in, makes each durable before it says yes, keeps what policies ask for.",
    name="lakebed",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


LOCAL = {
    "up": Action.INSTANCE_RUN,
    "serve": Action.INSTANCE_RUN,
    "demo": Action.INSTANCE_RUN,
    "doctor": Action.INSTANCE_EXAMINE,
    "backup": Action.BACKUPS_TAKE,
    "backups": Action.BACKUPS_READ,
    "restore": Action.BACKUPS_RESTORE,
    "migrate": Action.INSTANCE_MIGRATE,
}
"""Commands that open stores themselves, with their actions. All others send requests to a server,
which decides."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lakebed {version('lakebed')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    if (action := LOCAL.get(context.invoked_subcommand or "")) is not None:
        require(OPERATOR, action, INSTANCE)
        keep_new_files_private()


_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Serve": {
        "up": up.up,
        "serve": serve.serve,
        "demo": demo.demo,
        "doctor": doctor.doctor,
    },
    "Choose what is kept": {
        "check": check.check,
        "apply": apply.apply,
        "export": export.export,
        "policies": policies.policies,
        "forget": forget.forget,
    },
    "Every day": {"send": send.send, "last": last.last, "query": query.query, "tap": tap.tap},
    "Who may come in": {"audit": audit.audit},
    "Look around": {
        "topics": topics.topics,
        "flow": flow.flow,
        "refusals": refusals.refusals,
        "usage": usage.usage,
        "ledger": ledger.ledger,
        "load": load.load,
        "limits": load.limits,
    },
    "Keep it safe": {
        "backup": backups.backup,
        "backups": backups.backups,
        "restore": backups.restore,
        "migrate": migrate.migrate,
    },
    "More": {"simulate": simulate.simulate},
}
for panel, commands in _COMMANDS.items():
    for name, command in commands.items():
        # `send T -5`: a negative number is a payload, not an option
        loose = {"ignore_unknown_options": True} if name == "send" else None
        app.command(name, rich_help_panel=panel, context_settings=loose)(command)
app.add_typer(parked.app, name="parked", rich_help_panel="Look around")
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel="Look around")
app.add_typer(events.app, name="events", rich_help_panel="Every day")
app.add_typer(boards.app, name="boards", rich_help_panel="Look around")
app.add_typer(relays.app, name="relays", rich_help_panel="Every day")
app.add_typer(dev.app, name="dev", rich_help_panel="More")
app.add_typer(journal.app, name="journal", rich_help_panel="More")
app.add_typer(oidc.app, name="oidc", rich_help_panel="More")
app.add_typer(series.app, name="series", rich_help_panel="More")
app.add_typer(users.app, name="users", rich_help_panel="Who may come in")
app.add_typer(shares.app, name="shares", rich_help_panel="Who may come in")
app.add_typer(owners.app, name="owners", rich_help_panel="Who may come in")
app.add_typer(invitations.app, name="invitations", rich_help_panel="Who may come in")
app.add_typer(units.app, name="units", rich_help_panel="Who may come in")
app.add_typer(secrets.app, name="secrets", rich_help_panel="Who may come in")
app.add_typer(tokens.app, name="token", rich_help_panel="Who may come in")
app.add_typer(tokens.app, name="tokens", hidden=True)  # as `users`, `units`, `shares`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `exits`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # show what the terminal cannot write as an escape
            stream.reconfigure(errors="backslashreplace")
    try:
        _app_for(sys.argv[1:] if arguments is None else arguments)(arguments)
    except LakebedError as error:
        return _print_error(error)
    except ModuleNotFoundError as error:
        if (hint := missing(error)) is None:
            raise
        return _print_error(hint)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _print_error(
            Fatal(": ".join(filter(None, (str(error.filename or ""), reason(error)))))
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.OK
    return Exit.OK


def _app_for(arguments: Sequence[str]) -> typer.Typer:
    """The app with no command but the one that the arguments begin with; all where none does.

    Typer prepares each command that an app has, and that of all takes longer than most run.
    """
    first = "".join(arguments[:1])
    one = copy.copy(app)
    one.registered_commands = [each for each in app.registered_commands if each.name == first]
    one.registered_groups = [each for each in app.registered_groups if each.name == first]
    return one if one.registered_commands or one.registered_groups else app


def _print_error(error: LakebedError) -> int:
    for line in lines(error):
        print(f"lakebed: {line}", file=sys.stderr)
    return exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
