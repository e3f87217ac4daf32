"""What the routes of all sections of the document have in common."""

from collections.abc import Callable

from fastapi.responses import JSONResponse, Response

from lakebed.api.requests import text_in
from lakebed.documents.sections import DocumentSection, Entry, read_entries
from lakebed.http import problems
from lakebed.vocabulary.errors import BadRequest, Denied, Invalid, Problem

_MOST_NAMED = 10  # entries that the caller may not write, named in one answer


def check(body: bytes, section: DocumentSection, require: Callable[[Entry], None]) -> Response:
    """Check one entry, or a document of them (JSON or YAML), and change nothing.

    Raises:
        Denied: `require` refuses entries.
    """
    try:
        entries = read_entries(text_in(body), [section])[section.name]
    except BadRequest:
        raise
    except Invalid as error:
        document = problems.document(422, str(error), error.problems, ok=False)
        return JSONResponse(document, 422, media_type=problems.MEDIA_TYPE)
    require_each(entries, require)
    return JSONResponse({"ok": True})


def named(document: object, name: str) -> object:
    """A document that was sent to an address: its name is the one in the address.

    Raises:
        BadRequest: it says another name.
    """
    if not isinstance(document, dict):
        return document
    document = {"name": name} | document
    if document["name"] != name:
        raise BadRequest("name", f"the address says {name!r}, the document another name")
    return document


def require_each(entries: list[Entry], require: Callable[[Entry], None]) -> None:
    """Raise unless the caller may write all of them.

    Raises:
        Denied: names the first entries that it may not.
    """
    denied: list[str] = []
    for entry in entries:
        try:
            require(entry)
        except Denied as error:
            denied.append(located(entry, str(error)))
    if denied:
        more = f"; and {len(denied) - _MOST_NAMED} more" if len(denied) > _MOST_NAMED else ""
        raise Denied("; ".join(denied[:_MOST_NAMED]) + more)


def located(entry: Entry, what: str) -> str:
    return str(Problem(entry.where, what, entry.line))
