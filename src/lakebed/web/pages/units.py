"""Units: the list, one unit with its state, log, load and limits, and many at once by CSV."""

import csv
import io
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.preconditions import ANYTHING, seen
from lakebed.api.routes import limits as limit_routes
from lakebed.api.routes import units
from lakebed.vocabulary.errors import BadRequest, Conflict, Denied, Invalid, LakebedError, Problem
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, Form, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("units", "/units", _("Units"), "devices", 10, Action.UNITS_READ)
router = Pages()

Reader = Annotated[View, Viewing(Action.UNITS_READ, PAGE)]
Writer = Annotated[View, Viewing(Action.UNITS_WRITE, PAGE)]
Deleter = Annotated[View, Viewing(Action.UNITS_DELETE, PAGE)]
Rotator = Annotated[View, Viewing(Action.UNITS_ROTATE, PAGE)]
SHOWN_TO = {
    "private": _("this name space"),
    "instance": _("everybody who has an account here"),
    "public": _("everybody"),
}
OVER = {
    "": _("as the instance says"),
    "slow": _("slow it down"),
    "refuse": _("refuse"),
    "park": _("park, to be released later"),
    "cut": _("cut it off"),
}
_COLUMNS = ("name", "publish", "read", "tags", "visibility")
_MOST_ROWS = 10_000
_NO_LIMITS = dict.fromkeys(("messages", "bytes", "over", "cut_for"), "")
_EMPTY: dict[str, Any] = {
    "name": "", "publish": [], "read": [], "tags": [], "visibility": "private",
}  # fmt: skip


@router.get("/units")
def show(
    view: Reader,
    words: Annotated[str, Query(max_length=200)] = "",
    tag: str = "",
    cursor: str = "",
) -> Response:
    """The units of a name space, by name."""
    found = units.list_units(view.services, view.caller, tag or None, 500, cursor)
    rows = [one for one in found["units"] if _matches(one, words)]
    loads = _loads(view)
    return view.render(
        "units.html",
        units=rows,
        loads=loads,
        words=words,
        tag=tag,
        next=found["next_cursor"],
        shown_to=SHOWN_TO,
    )


@router.get("/units/new")
def new(view: Writer) -> Response:
    """The form of a new unit."""
    view.caller.changes_nothing()
    return _form(view, {"visibility": "private"})


@router.get("/units/many")
def many(view: Writer) -> Response:
    """The form for many at once."""
    view.caller.changes_nothing()
    return view.render("units_many.html", text="", problems=(), made=None, columns=_COLUMNS)


@router.post("/units/many")
def add_many(view: Writer, form: FormDep) -> Response:
    """Make a unit of each line of a CSV table, with a token each; all or none."""
    text = form.raw("table")
    try:
        made = _from_table(view, text, form.flag("tokens"))
    except REFUSED as error:
        problems = problems_of(error)
        return view.render(
            "units_many.html",
            error.status,
            text=text,
            problems=problems,
            made=None,
            columns=_COLUMNS,
        )
    return view.render("units_many.html", text="", problems=(), made=made, columns=_COLUMNS)


@router.get("/units/at/{unit}")
def one(view: Reader, unit: str) -> Response:
    """All about one unit."""
    return _one(view, unit)


@router.get("/units/edit/{unit}")
def edit(view: Writer, unit: str) -> Response:
    """The form of a unit that is there."""
    view.caller.changes_nothing()
    response = Response()
    found = units.read_unit(view.services, view.caller.to(Action.UNITS_READ), unit, response)
    return _form(view, found, before=found["name"], etag=response.headers["etag"])


@router.post("/units/save")
def save(view: Writer, form: FormDep) -> Response:
    """Make a unit, or change one."""
    document, before = _document(form), form.text("before")
    name = before or str(document["name"])
    view.caller.note(f"units/{name}")
    body, response = msgspec.json.encode(document), Response()
    try:
        if before:
            expected = seen(form.text("etag"))
            units.put_unit(view.services, view.caller, before, body, response, expected)
        else:
            units.create_unit(view.services, view.caller, body, response)
    except REFUSED as error:
        problems = problems_of(error)
        return _form(view, document, before, form.text("etag"), problems, error.status)
    return view.go(f"/units/at/{name}", view.word(_("Saved %(name)s."), name=name))


@router.post("/units/token")
def token(view: Rotator, form: FormDep) -> Response:
    """A new token, shown this once."""
    name = form.text("unit")
    view.caller.note(f"units/{name}/token")
    body = msgspec.json.encode({"grace": form.text("grace") or 0})
    made = units.rotate_token(view.services, view.caller, name, body)
    return _one(view, made["name"], token=made["token"])


@router.post("/units/block")
def block(view: Writer, form: FormDep) -> Response:
    """Block a unit, or let it in again."""
    name, blocked = form.text("unit"), form.flag("blocked")
    view.caller.note(f"units/{name}")
    body = msgspec.json.encode({"blocked": blocked})
    units.change_unit(view.services, view.caller, name, body, Response(), ANYTHING)
    told = _("Blocked %(name)s: it is out within seconds.") if blocked else _("%(name)s may again.")
    return view.go(f"/units/at/{name}", view.word(told, name=name))


@router.post("/units/delete")
def delete(view: Deleter, form: FormDep) -> Response:
    """Delete a unit; first say what is gone and what stays."""
    name = form.text("unit")
    view.caller.note(f"units/{name}")
    if not form.flag("sure"):
        view.caller.changes_nothing()
        return view.render("unit_delete.html", name=name)
    units.delete_unit(view.services, view.caller, name, ANYTHING)
    return view.go("/units", view.word(_("Deleted %(name)s."), name=name))


def _one(view: View, name: str, token: str = "") -> Response:
    reader = view.caller.to(Action.UNITS_READ)
    found = units.read_unit(view.services, reader, name, Response())
    entries = _or_nothing(
        lambda: units.read_log(view.services, view.caller.to(Action.UNITS_LOG), name, limit=50)
    )
    limits = _or_nothing(
        lambda: limit_routes.limits(view.services, view.caller.to(Action.LIMITS_READ))
    )
    return view.render(
        "unit.html",
        unit=found,
        entries=entries.get("entries"),
        load=_loads(view).get(found["name"]),
        in_force=next(
            (one for one in limits.get("units", ()) if one["unit"] == found["name"]), None
        ),
        token=token,
        shown_to=SHOWN_TO,
        over=OVER,
    )


def _or_nothing(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the caller may not see is left out of the page."""
    try:
        return ask()
    except LakebedError as error:
        if error.status in (403, 404):
            return {}
        raise


def _loads(view: View) -> dict[str, dict[str, Any]]:
    if not view.may(Action.LOAD_READ):
        return {}
    caller = view.caller.to(Action.LOAD_READ)
    found = limit_routes.load(view.services, caller, "unit", "1m", 10_000)
    return {row["unit"]: row for row in found["load"]}


def _matches(unit: dict[str, Any], words: str) -> bool:
    texts = [unit["name"], unit["uuid"], *unit["tags"]]
    return all(any(word in text for text in texts) for word in words.split())


def _form(
    view: View,
    document: dict[str, Any],
    before: str = "",
    etag: str = "",
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> Response:
    return view.render(
        "unit_edit.html",
        status,
        unit=_EMPTY | document | {"limits": _NO_LIMITS | dict(document.get("limits", {}))},
        before=before,
        etag=etag.strip('"'),
        problems=problems,
        shown_to=[(name, view.word(title)) for name, title in SHOWN_TO.items()],
        over=[(name, view.word(title)) for name, title in OVER.items()],
    )


def _document(form: Form) -> dict[str, Any]:
    """The document of a unit that a form says."""
    limits = {
        name: form.text(f"limits.{name}")
        for name in ("messages", "bytes", "over", "cut_for")
        if form.text(f"limits.{name}")
    }
    document: dict[str, Any] = {
        "name": form.text("name") or form.text("before"),
        "publish": _lines(form.raw("publish")),
        "read": _lines(form.raw("read")),
        "tags": form.text("tags").replace(",", " ").split(),
        "visibility": form.text("visibility", "private"),
    }
    return document | ({"limits": limits} if limits else {})


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _from_table(view: View, text: str, with_tokens: bool) -> list[dict[str, str]]:
    """Make the units of a CSV table in one transaction.

    Raises:
        Invalid: names each line that is wrong.
    """
    documents = _rows(text)
    problems: list[Problem] = []
    made: list[dict[str, str]] = []
    services = view.services
    with services.accounts.transaction():
        for line, document in documents:
            try:
                body = msgspec.json.encode(document)
                unit = units.create_unit(services, view.caller, body, Response())
            except Invalid as error:
                problems += [Problem(one.where, one.what, line) for one in error.problems]
                continue
            except (Conflict, Denied) as error:
                problems.append(Problem("", str(error), line))
                continue
            made.append({"name": unit["name"], "uuid": unit["uuid"], "token": ""})
        if problems:
            raise Invalid(*problems[:50])
    if with_tokens:
        rotator = view.caller.to(Action.UNITS_ROTATE)
        for one in made:
            one["token"] = units.rotate_token(services, rotator, one["uuid"], b"")["token"]
    return made


def _rows(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Line and document of each row; several filters or tags are divided by blanks."""
    reader = csv.reader(io.StringIO(text.strip()))
    try:
        head = [cell.strip().lower() for cell in next(reader, [])]
        unknown = [name for name in head if name not in _COLUMNS]
        if "name" not in head or unknown:
            known = ", ".join(_COLUMNS)
            raise BadRequest("", f"the first line names the columns, of {known}; name is needed")
        found: list[tuple[int, dict[str, Any]]] = []
        for row in reader:
            cells = dict(zip(head, (cell.strip() for cell in row), strict=False))
            if not any(cells.values()):
                continue
            document: dict[str, Any] = {"name": cells["name"]}
            for key in ("publish", "read", "tags"):
                document[key] = cells.get(key, "").split()
            if cells.get("visibility"):
                document["visibility"] = cells["visibility"]
            found.append((reader.line_num, document))
    except csv.Error as error:
        raise BadRequest("", f"it is no CSV table: {error}") from None
    if not found or len(found) > _MOST_ROWS:
        raise BadRequest("", f"write 1 to {_MOST_ROWS} lines below the names of the columns")
    return found
