"""Boards: the list, a board with its tiles, the editor, import, export, and made boards."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.accounts.units import all_topics
from lakebed.api.preconditions import ANYTHING, seen
from lakebed.api.routes import boards as routes
from lakebed.api.routes import units
from lakebed.boards import documents, tiles
from lakebed.boards.made import NAMES, made
from lakebed.boards.prose import blocks
from lakebed.documents.sections import read_entries
from lakebed.policies.fields import LONGEST, duration_within
from lakebed.ports.catalog.boards import Board
from lakebed.vocabulary.errors import (
    BadRequest,
    Conflict,
    Denied,
    Invalid,
    NotFound,
    Outdated,
    Problem,
)
from lakebed.vocabulary.times import MINUTE
from lakebed.web import arranging, drafts, guard
from lakebed.web import tiles as shown_tiles
from lakebed.web.navigation import Page
from lakebed.web.page import Form, FormDep, Pages, View, Viewing, shown_problems
from lakebed.web.pictures import picture_of
from lakebed.web.tile_policies import Range
from lakebed.web.words import mark as _

PAGE = Page("boards", "/boards", _("Boards"), "data", 25, Action.BOARDS_READ)
router = Pages()

Reader = Annotated[View, Viewing(Action.BOARDS_READ, PAGE)]
Writer = Annotated[View, Viewing(Action.BOARDS_WRITE, PAGE)]
Span = Annotated[str, Query(alias="range", max_length=20)]
Drawn = Annotated[list[int] | None, Query(max_length=tiles.MOST_TILES)]
"""With `part=tiles`: plots that the page draws itself, which are left out."""

RANGES = {"1h": _("1 hour"), "6h": _("6 hours"), "24h": _("1 day"), "7d": _("7 days"),
          "30d": _("30 days"), "365d": _("1 year")}  # fmt: skip
SHARES = {
    "private": _("only me, and managers"),
    "owner": _("members of this name space"),
    "instance": _("everybody who has signed in"),
    "public": _("everybody"),
}
KINDS = {
    "plot": _("Plot"),
    "number": _("Number"),
    "table": _("Table"),
    "last": _("Last values"),
    "text": _("Text"),
    "image": _("Picture"),
    "alert": _("Alert"),
    "flow": _("What became of messages"),
    "load": _("Load"),
    "errors": _("Errors"),
    "units": _("Units"),
}
MADE = {
    "node": (_("This machine"), _("Processor, memory, disks, network, temperatures.")),
    "load": (_("Load"), _("What comes in, and which topics weigh most.")),
    "errors": (_("Errors"), _("What was not kept and why, dead letters, alarms.")),
    "unit": (_("One unit"), _("State, messages and values of one unit.")),
    "fleet": (_("The fleet"), _("All units, who is online, who sends most.")),
}
assert KINDS.keys() == tiles.KINDS.keys()
assert tuple(MADE) == NAMES


# --- the list -------------------------------------------------------------------------------------


@router.get("/boards")
def show_list(view: Reader) -> Response:
    """The boards of the name space, and those that come with Lakebed."""
    return _list(view)


@router.post("/boards")
def add(view: Writer, form: FormDep) -> Response:
    """Add an empty board, and go on to arrange it."""
    name, title = form.text("name"), form.text("title")
    view.caller.note(f"boards/{name}")
    document = {"name": name, "share": form.text("share") or "owner"}
    document |= {"title": title} if title else {}
    try:
        routes.write(view.services, view.caller, document, create=True)
    except Invalid as error:
        return _list(view, form, error.problems)
    except (Denied, Conflict) as error:
        return _list(view, form, (Problem("", str(error)),), error.status)
    return view.go(f"/boards/{name}/edit")


@router.post("/boards/import")
def bring(view: Writer, form: FormDep) -> Response:
    """Write all boards of a document, or none."""
    view.caller.note("boards")
    try:
        entries = read_entries(form.raw("yaml"), [documents.section()])["boards"]
        with view.services.accounts.transaction():
            for entry in entries:
                replace = form.flag("replace")
                routes.write(view.services, view.caller, entry.value, create=not replace)
    except Invalid as error:
        return _list(view, form, error.problems)
    except (Denied, Conflict) as error:
        return _list(view, form, (Problem("", str(error)),), error.status)
    told = view.words("Imported %(num)s board.", "Imported %(num)s boards.", len(entries))
    return view.go("/boards", told)


def _list(
    view: View,
    form: Form | None = None,
    problems: tuple[Problem, ...] = (),
    status: int = 422,
) -> Response:
    return view.render(
        "boards.html",
        status if problems else 200,
        boards=routes.seen(view.services, view.caller),
        made=MADE,
        shares=SHARES,
        form=form or Form(),
        problems=problems,
        may_write=view.may(Action.BOARDS_WRITE),
        names=_unit_names(view),
    )


def _unit_names(view: View) -> list[str]:
    """Names of units, for the board of one."""
    if not view.may(Action.UNITS_READ):
        return []
    caller = view.caller.to(Action.UNITS_READ)
    found = units.list_units(view.services, caller, tag=None, limit=100, cursor="")
    return [unit["name"] for unit in found["units"]]


# --- made boards ----------------------------------------------------------------------------------


@router.get("/boards/made/{name}")
def show_made(
    view: Reader,
    name: str,
    span: Span = "",
    full: bool = False,
    part: str = "",
    unit: str = "",
    drawn: Drawn = None,
) -> Response:
    """A board that comes with Lakebed, of the name space that is looked at."""
    view.caller.require_owner()
    board = documents.board_of(_made(view, name, unit), view.owner)
    return _board(view, board, span, full, part, drawn, made=name, unit=unit)


@router.post("/boards/made/{name}")
def add_made(view: Writer, name: str, form: FormDep) -> Response:
    """Add a copy of a made board, under a name that is free."""
    unit = form.text("unit")
    document = _made(view, name, unit)
    taken = {board.name for board in view.services.catalog.boards(view.owner)}
    wanted = f"unit-{unit}" if name == "unit" and unit else name
    free = (f"{wanted}-{number}" if number else wanted for number in range(1000))
    document["name"] = next(one for one in free if one not in taken)
    view.caller.note(f"boards/{document['name']}")
    routes.write(view.services, view.caller, document, create=True)
    told = view.word(_("Added: change it as you like."))
    return view.go(f"/boards/{document['name']}", told)


def _made(view: View, name: str, unit: str) -> dict[str, Any]:
    topics: tuple[str, ...] = ()
    if name == "unit" and unit:
        found = view.services.accounts.unit(view.owner, unit)
        if found is None or not view.may(Action.UNITS_READ, *(all_topics(found) or ("#",))):
            raise NotFound(f"there is no unit {unit!r}")
        topics, unit = (found.publish and all_topics(found)) or ("#",), found.name
    document = made(name, unit, topics)
    if document is None:
        raise NotFound(f"there is no made board {name!r}")
    for one in (document, *document["tiles"]):
        one |= {key: view.word(one[key]) for key in ("title", "text") if key in one}
    return document


# --- one board ------------------------------------------------------------------------------------


@router.get("/boards/{name}")
def show(
    view: Reader,
    name: str,
    span: Span = "",
    full: bool = False,
    part: str = "",
    drawn: Drawn = None,
) -> Response:
    """A board with what its tiles show now."""
    board = routes.found(view.services, view.caller, name)
    return _board(view, board, span, full, part, drawn)


@router.get("/boards/{name}/export")
def export(view: Reader, name: str) -> Response:
    """The document of a board, as a file."""
    board = routes.found(view.services, view.caller, name)
    text = arranging.written({"boards": [dict(board.document)]})
    headers = guard.HEADERS | {"Content-Disposition": f'attachment; filename="{name}.yaml"'}
    return Response(text, headers=headers, media_type="application/yaml")


@router.get("/boards/{name}/pictures/{index}")
def picture(view: Reader, name: str, index: int) -> Response:
    """The newest picture of a tile: bytes of others, so nothing in them is run."""
    board = routes.found(view.services, view.caller, name)
    found = board.document["tiles"]
    if not 0 <= index < len(found) or found[index]["kind"] != "image":
        raise NotFound(f"tile {index} of this board shows no picture")
    picture = picture_of(view, found[index])
    if picture is None:
        raise NotFound("there is no picture yet")
    headers = guard.HEADERS | {"Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(picture.data, headers=headers, media_type=picture.media)


def _board(
    view: View,
    board: Board,
    span: str,
    full: bool,
    part: str,
    drawn: Sequence[int] | None,
    made: str = "",
    unit: str = "",
) -> Response:
    text = span or board.document["range"]
    try:
        duration_within(text, MINUTE, LONGEST)
    except ValueError as error:
        raise BadRequest("range", str(error)) from None
    over = Range.until_now(text)
    return view.render(
        "board_tiles.html" if part == "tiles" else "board.html",
        board=board,
        tiles=shown_tiles.shown(view, board.document, over, drawn or ()),
        over=over,
        ranges=RANGES,
        full=full,
        made=made,
        unit=unit,
        path=f"/boards/made/{made}" if made else f"/boards/{board.name}",
        kinds=KINDS,
        blocks=blocks,
        may_change=not made and routes.may_change(view.services, view.caller, board),
        names=_unit_names(view) if made == "unit" else [],
    )


# --- the editor -----------------------------------------------------------------------------------


@router.get("/boards/{name}/edit")
def edit(view: Writer, name: str) -> Response:
    """The editor: arrange tiles, add some, or write the whole as YAML."""
    board = routes.found(view.services, view.caller.to(Action.BOARDS_READ), name)
    return _editor(view, name, board.document, str(board.version))


@router.post("/boards/{name}/edit")
def arrange(view: Writer, name: str, form: FormDep) -> Response:
    """The editor after one of its buttons; nothing is written yet."""
    view.caller.changes_nothing()
    etag = form.text("etag")
    try:
        document = arranging.document_in(form)
    except Invalid as error:
        return _editor(view, name, {}, etag, form, error.problems, form.raw("yaml"))
    try:
        document = arranging.changed(document, form.text("do"), form)
    except Invalid as error:
        return _editor(view, name, document, etag, form, error.problems)
    return _editor(view, name, document, etag)


@router.post("/boards/{name}/save")
def save(view: Writer, name: str, form: FormDep) -> Response:
    """Write the board, unless somebody has changed it meanwhile."""
    view.caller.note(f"boards/{name}")
    etag = form.text("etag")
    try:
        document = arranging.document_in(form)
    except Invalid as error:
        return _editor(view, name, {}, etag, form, error.problems, form.raw("yaml"))
    try:
        _write(view, name, document, etag)
    except Outdated:
        return _overtaken(view, name, document, form)
    except Invalid as error:
        return _editor(view, name, document, etag, form, error.problems)
    except (Denied, Conflict) as error:
        problems = (Problem("", str(error)),)
        return _editor(view, name, document, etag, form, problems, status=error.status)
    return view.go(f"/boards/{document['name']}", view.word(_("Saved.")))


def _write(view: View, name: str, document: dict[str, Any], etag: str) -> None:
    """Write the document, under another name too, where it says so."""
    expected = seen(etag)
    if document["name"] == name:
        routes.write(view.services, view.caller, document, expected=expected)
        return
    with view.services.accounts.transaction():
        routes.write(view.services, view.caller, document, create=True)
        routes.delete(view.services, view.caller, name, expected)


def _overtaken(view: View, name: str, document: dict[str, Any], form: Form) -> Response:
    """The editor with what was not written, beside what somebody else has written."""
    told = _("Somebody has changed this board meanwhile. Yours is below, and nothing is lost:"
             " save again to put it in the place of theirs.")  # fmt: skip
    there = view.services.catalog.board(view.owner, name)
    return _editor(
        view,
        name,
        document,
        str(there.version) if there is not None else "",
        form,
        (Problem("", view.word(told)),),
        status=409,
        theirs=there,
    )


@router.post("/boards/{name}/delete")
def delete(view: Writer, name: str, form: FormDep) -> Response:
    """Delete a board; first say what stays."""
    view.caller.note(f"boards/{name}")
    board = routes.found(view.services, view.caller.to(Action.BOARDS_READ), name)
    if not form.flag("sure"):
        view.caller.changes_nothing()
        return view.render("board_delete.html", board=board)
    routes.delete(view.services, view.caller, name, ANYTHING)
    told = view.word(_("Deleted the board %(name)s. What its tiles showed stays."), name=name)
    return view.go("/boards", told)


def _editor(
    view: View,
    name: str,
    document: Any,
    etag: str,
    form: Form | None = None,
    problems: tuple[Problem, ...] = (),
    text: str | None = None,
    status: int = 422,
    theirs: Board | None = None,
) -> Response:
    """The form of a board.

    Args:
        text: its YAML, where that cannot be read.
        theirs: what is there, where it is not what the form began with.
    """
    found = [] if text is not None else tiles.placed(document.get("tiles") or [])
    order = sorted(range(len(found)), key=lambda index: (found[index]["y"], found[index]["x"]))
    whole = {**document, "tiles": found}
    shown = arranging.written(whole) if text is None else text
    marked = drafts.located(shown, problems, "boards")
    return view.render(
        "board_edit.html",
        status if problems else 200,
        name=name,
        title=document.get("title", name) if text is None else name,
        tiles=[(index, found[index]) for index in order],
        yaml=shown,
        marked=shown_problems(view, marked),
        completions=arranging.completions(),
        theirs=None if theirs is None else arranging.written(theirs.document),
        etag=etag,
        form=form or Form(),
        problems=problems,
        kinds=KINDS,
        kind_keys={name: kind.keys for name, kind in tiles.KINDS.items()},
        moves=arranging.MOVES,
        columns=tiles.COLUMNS,
        tallest=tiles.TALLEST,
    )
