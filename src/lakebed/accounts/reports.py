"""The topics on which an owner's units report, as entries of a document.

{"name": "state", "topics": ["plant/{unit}/state"]}
"""

from collections.abc import Mapping, Sequence

from lakebed.accounts import fields
from lakebed.documents.sections import DocumentSection
from lakebed.documents.source import Path
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.unit_topics import unit_pattern_fault

KEYS = ("name", "topics")
NAMES = ("state", "log")


def check(document: object) -> list[tuple[Path, str]]:
    """What is wrong with a document: paths within it, and what is allowed there."""
    if not isinstance(document, Mapping):
        return [((), "an entry of reports is a mapping with the keys name and topics")]
    problems: list[tuple[Path, str]] = list(fields.unknown_keys(document, KEYS))
    if document.get("name") not in NAMES:
        problems.append((("name",), f"write {' or '.join(NAMES)}: what the units report there"))
    topics = document.get("topics")
    if not isinstance(topics, list):
        problems.append((("topics",), "write a list of topics that name {unit}; [] for none"))
        return problems
    problems += [(("topics", *path), fault) for path, fault in faults(topics)]
    return problems


def faults(topics: Sequence[object]) -> list[tuple[Path, str]]:
    """What is wrong with patterns, each with its place."""
    found: list[tuple[Path, str]] = []
    for place, text in enumerate(topics):
        if not isinstance(text, str):
            found.append(((place,), f"a topic is text, not {show(text)}"))
        elif (fault := unit_pattern_fault(text)) is not None:
            found.append(((place,), fault))
    return found


def section() -> DocumentSection:
    """Topics of reports in a document: `reports:` with a list."""
    return DocumentSection("reports", "report", check)
