"""The document of a unit.

    {"name": "greenhouse-1", "publish": ["greenhouse/{unit}/#"], "read": [], "tags": ["north"],
     "visibility": "private", "limits": {…}}

All problems are found at once, by plain functions: a document may have ten thousand units.
"""

import uuid as uuids
from collections.abc import Mapping
from typing import Any

from lakebed.access.subjects import topics_of
from lakebed.accounts import fields
from lakebed.documents.sections import DocumentSection, path_text
from lakebed.documents.source import Path
from lakebed.ports.accounts.units import Unit, Visibility
from lakebed.vocabulary import limits
from lakebed.vocabulary.errors import Invalid, Problem, show

KEYS = ("name", "publish", "read", "tags", "visibility", "limits")
MOST_TAGS = 32
LONGEST_TAG = 64  # characters

_PUT_IN = {"{unit}": "00000000-0000-4000-8000-000000000000", "{name}": "name"}


def check(document: object) -> list[tuple[Path, str]]:
    """What is wrong with a document: paths within it, and what is allowed there."""
    if not isinstance(document, Mapping):
        return [((), "a unit is a mapping with the keys name, publish, read and others")]
    return [
        *fields.unknown_keys(document, KEYS),
        *fields.name(document, "unit"),
        *fields.filters(document, "publish", _PUT_IN),
        *fields.filters(document, "read", _PUT_IN),
        *_tags(document),
        *_visibility(document),
        *_limits(document),
    ]


def parse(document: object, owner: str, uuid: str | None = None) -> Unit:
    """The unit of a document, with the uuid that it has, or a new one.

    Raises:
        Invalid: names everything that is wrong.
    """
    if problems := check(document):
        raise Invalid(*(Problem(path_text(path), what) for path, what in problems))
    assert isinstance(document, Mapping)
    return unit_of(document, owner, uuid)


def unit_of(document: Mapping[str, Any], owner: str, uuid: str | None = None) -> Unit:
    """The unit of a document that was checked."""
    return Unit(
        uuid or str(uuids.uuid4()),
        owner,
        document["name"],
        tuple(document.get("publish", ())),
        tuple(document.get("read", ())),
        tuple(dict.fromkeys(document.get("tags", ()))),
        Visibility(document.get("visibility", Visibility.PRIVATE)),
        document.get("limits", {}),
    )


def to_document(unit: Unit) -> dict[str, Any]:
    """The document of a unit: `parse` of it gives an equal one."""
    document: dict[str, Any] = {
        "name": unit.name,
        "publish": list(unit.publish),
        "read": list(unit.read),
        "tags": list(unit.tags),
        "visibility": unit.visibility.value,
    }
    return document | ({"limits": dict(unit.limits)} if unit.limits else {})


def all_topics(unit: Unit) -> tuple[str, ...]:
    """All filters of a unit, as they count."""
    return topics_of(unit, (*unit.publish, *unit.read))


def section() -> DocumentSection:
    """Units in a document: `units:` with a list."""
    return DocumentSection("units", "unit", check)


def _tags(document: Mapping[Any, Any]) -> fields.Problems:
    found, wrong = fields.texts(document, "tags", "tags", MOST_TAGS)
    yield from wrong
    for place, tag in found:
        if not 0 < len(tag) <= LONGEST_TAG or not tag.isprintable():
            what = f"a tag has 1 to {LONGEST_TAG} characters that can be seen, not {show(tag)}"
            yield ("tags", place), what


def _visibility(document: Mapping[Any, Any]) -> fields.Problems:
    value = document.get("visibility", Visibility.PRIVATE)
    if value not in list(Visibility):
        yield ("visibility",), f"{show(value)} is no visibility: private, instance or public"


def _limits(document: Mapping[Any, Any]) -> fields.Problems:
    try:
        limits.parse(document.get("limits", {}), unit=True)
    except Invalid as error:
        for problem in error.problems:
            yield tuple(problem.where.split(".", 1)), problem.what
