"""The document of a share.

{"name": "weather", "topics": ["roof/#"], "with": ["public"], "may": ["read"]}
"""

import re
from collections.abc import Mapping
from typing import Any

from lakebed.accounts import fields
from lakebed.documents.sections import DocumentSection, path_text
from lakebed.documents.source import Path
from lakebed.ports.accounts.shares import INSTANCE, PUBLIC, Share
from lakebed.vocabulary.errors import Invalid, Problem, show

KEYS = ("name", "topics", "with", "may")
MAY = ("read", "publish")
MOST_AUDIENCES = 100

_NAMED = re.compile(r"(?:owner|user):[^\s:/]{1,64}")


def check(document: object) -> list[tuple[Path, str]]:
    """What is wrong with a document: paths within it, and what is allowed there."""
    if not isinstance(document, Mapping):
        return [((), "a share is a mapping with the keys name, topics, with and may")]
    return [
        *fields.unknown_keys(document, KEYS),
        *fields.name(document, "share"),
        *_needed(document, "topics", 'such as ["roof/#"]'),
        *fields.filters(document, "topics"),
        *_audience(document),
        *_may(document),
    ]


def parse(document: object, owner: str) -> Share:
    """The share of a document.

    Raises:
        Invalid: names everything that is wrong.
    """
    if problems := check(document):
        raise Invalid(*(Problem(path_text(path), what) for path, what in problems))
    assert isinstance(document, Mapping)
    return share_of(document, owner)


def share_of(document: Mapping[str, Any], owner: str) -> Share:
    """The share of a document that was checked."""
    topics, audience, may = (
        tuple(dict.fromkeys(document[key])) for key in ("topics", "with", "may")
    )
    return Share(owner, document["name"], topics, audience, may)


def to_document(share: Share) -> dict[str, Any]:
    """The document of a share: `parse` of it gives an equal one."""
    return {
        "name": share.name,
        "topics": list(share.topics),
        "with": list(share.audience),
        "may": list(share.may),
    }


def section() -> DocumentSection:
    """Shares in a document: `shares:` with a list."""
    return DocumentSection("shares", "share", check)


def _needed(document: Mapping[Any, Any], key: str, example: str) -> fields.Problems:
    if document.get(key) in (None, []):
        yield (key,), f"a share needs `{key}`, {example}"


def _audience(document: Mapping[Any, Any]) -> fields.Problems:
    yield from _needed(document, "with", "such as [instance], [public] or [owner:works]")
    found, wrong = fields.texts(document, "with", "audiences", MOST_AUDIENCES)
    yield from wrong
    for place, one in found:
        if one not in (PUBLIC, INSTANCE) and not _NAMED.fullmatch(one):
            what = f"{show(one)} is nobody: write public, instance, owner:NAME or user:NAME"
            yield ("with", place), what


def _may(document: Mapping[Any, Any]) -> fields.Problems:
    yield from _needed(document, "may", "[read], [publish] or both")
    found, wrong = fields.texts(document, "may", "words", len(MAY))
    yield from wrong
    audience = document.get("with")
    for place, one in found:
        if one not in MAY:
            yield ("may", place), f"{show(one)} is nothing that can be shared: read or publish"
        elif one == "publish" and isinstance(audience, list) and PUBLIC in audience:
            yield ("may", place), "nobody publishes without signing in: share it with instance"
