"""Options that several commands share, and the groups of commands that have them."""

import inspect
import json
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from lakebed.vocabulary.errors import BadRequest

if TYPE_CHECKING:
    from lakebed.cli.client import Server

F = TypeVar("F", bound=Callable[..., Any])

URL = "http://127.0.0.1:8080"
HOME = Path("lakebed-data")

Url = Annotated[str, typer.Option(envvar="LAKEBED_URL", help="URL of the server.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="LAKEBED_TOKEN", help="The token. [default: HOME/admin.token]", show_default=False
    ),
]
Home = Annotated[Path, typer.Option(envvar="LAKEBED__HOME", help="The home of the server.")]


class Access(NamedTuple):
    """The server that a command asks: such a parameter becomes --url, --token and --home."""

    url: str = URL
    token: str | None = None
    home: Path = HOME

    def server(self) -> "Server":
        """A connection to it; a context manager."""
        from lakebed.cli.client import Server

        return Server(self.url, self.token, self.home)


ACCESS = Access()


class Shape(StrEnum):
    """The output format of commands that print one answer."""

    TABLE = "table"
    JSON = "json"


Format = Annotated[Shape, typer.Option("--format", help="For people, or for programs.")]
InOwner = Annotated[
    str | None,
    typer.Option("--owner", help="In whose name space. [default: yours]", show_default=False),
]
FromOwner = Annotated[
    str | None,
    typer.Option(
        "--owner",
        help="Whose: of an owner you are a member of, or who shares it. [default: yours]",
        show_default=False,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, max=100_000, help="Show at most this many. [default: all]", show_default=False
    ),
]
Title = Annotated[str | None, typer.Option(help="What people read.")]
Limits = Annotated[
    str | None, typer.Option(help="A document of limits, as JSON.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Commands(typer.Typer):
    """A group of commands.

    One with a parameter `access` has the options of `Access`. One that has --format has --json
    too, which is short for it.
    """

    def __init__(self, help: str, **options: Any) -> None:
        super().__init__(help=help, no_args_is_help=True, pretty_exceptions_enable=False, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        register = super().command(name, **options)

        def registered(command: F) -> F:
            register(_with_json(_with_access(command)))
            return command

        return registered


def _with_access(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with --url, --token and --home, where it has a parameter `access`."""
    signature = inspect.signature(command, eval_str=True)
    if "access" not in signature.parameters:
        return command

    @wraps(command)
    def run(*, url: str, token: str | None, home: Path, **given: Any) -> Any:
        return command(access=Access(url, token, home), **given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = {"url": (Url, URL), "token": (Token, None), "home": (Home, HOME)}
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name != "access":
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(name, kind, default=default, annotation=annotation)
            for name, (annotation, default) in options.items()
        ]
    _show(run, signature.replace(parameters=parameters))
    return run


def _show(run: Callable[..., Any], signature: inspect.Signature) -> None:
    """Have Typer see this signature."""
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}


def _with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with --json, where its parameter `form` knows JSON, or lines of it."""
    signature = inspect.signature(command, eval_str=True)
    if "form" not in signature.parameters:
        return command
    usual = signature.parameters["form"].default
    forms = type(usual)
    form = forms("json" if "json" in forms.__members__.values() else "ndjson")

    @wraps(command)
    def run(*, as_json: bool, **given: Any) -> Any:
        if as_json and given["form"] not in (usual, form):
            raise BadRequest("--json", f"it is short for --format {form}: leave one of them out")
        return command(**given | ({"form": form} if as_json else {}))

    option = Annotated[bool, typer.Option("--json", help=f"Short for --format {form}.")]
    parameters = list(signature.parameters.values())
    behind = list(signature.parameters).index("form") + 1
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters.insert(behind, inspect.Parameter("as_json", kind, default=False, annotation=option))
    _show(run, signature.replace(parameters=parameters))
    return run


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def changes(example: str, **options: Any) -> dict[str, Any]:
    """The options that were given to a command that changes something.

    Raises:
        BadRequest: none was; `example` says what could be.
    """
    if not (chosen := given(**options)):
        raise BadRequest("change", f"say what to change, such as {example}")
    return chosen


def limits_of(text: str | None) -> Any:
    """The document that --limits gives.

    Raises:
        BadRequest: it is not JSON.
    """
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise BadRequest("--limits", f"it is not JSON: {error}") from None


def whose(owner: str | None) -> str:
    """The name space that --owner names, in a sentence."""
    return owner or "your own name space (--owner NAME looks into another)"
