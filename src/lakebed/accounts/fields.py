"""Validates single values of the documents of accounts: names, filters, lists of words.

Each function yields what is wrong, with the path of the value in its document.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from lakebed.documents.source import Path
from lakebed.policies.fields import suggest
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.topics import check_filter

Problems: TypeAlias = Iterator[tuple[Path, str]]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Names of tokens, units and shares. None can be a wildcard or a level of its own in a topic."""

NO_NAME = "it is 1 to 64 letters, digits, and . _ - @ behind the first"

MOST_FILTERS = 100
"""Filters in one list: each is compared with each topic that is asked about first."""


def unknown_keys(document: Mapping[Any, Any], known: Collection[str]) -> Problems:
    for key in document:
        if not isinstance(key, str):
            yield (), f"a key is text, not {show(key)}"
        elif key not in known:
            yield (key,), f"there is no key `{key}`: {suggest(key, known)}"


def name(document: Mapping[Any, Any], what: str, key: str = "name") -> Problems:
    """What is wrong with a name, which must be there."""
    value = document.get(key)
    if value is None:
        yield (key,), f"a {what} needs a name"
    elif not isinstance(value, str) or not NAME.fullmatch(value):
        yield (key,), f"{show(value)} is no name: {NO_NAME}"


def texts(
    document: Mapping[Any, Any], key: str, what: str, most: int
) -> tuple[Sequence[tuple[int, str]], list[tuple[Path, str]]]:
    """The texts of a list, each with its index, and what is wrong with the list."""
    value = document.get(key, [])
    if not isinstance(value, list):
        return (), [((key,), f"write a list of {what}, such as `[…, …]`")]
    if len(value) > most:
        return (), [((key,), f"there are at most {most} {what}, not {len(value)}")]
    wrong: list[tuple[Path, str]] = [
        ((key, place), f"it is text, not {show(one)}")
        for place, one in enumerate(value)
        if not isinstance(one, str)
    ]
    return [(place, one) for place, one in enumerate(value) if isinstance(one, str)], wrong


def filters(
    document: Mapping[Any, Any], key: str, put_in: Mapping[str, str] | None = None
) -> Problems:
    """What is wrong with a list of MQTT filters of an owner's own topics.

    Args:
        put_in: stands for what is in braces, such as `{unit}`, with an example of each.
    """
    found, wrong = texts(document, key, "topic filters", MOST_FILTERS)
    yield from wrong
    for place, filter in found:
        if (what := fault_of_filter(filter, put_in or {})) is not None:
            yield (key, place), what


_BRACES = re.compile(r"\{[^{}/]*\}")


def fault_of_filter(filter: str, put_in: Mapping[str, str] = {}) -> str | None:
    """What is wrong with one filter of an owner's own topics, or None."""
    for braces in _BRACES.findall(filter) if put_in else ():
        if braces not in put_in:
            return f"there is no {braces}: {suggest(braces, list(put_in))}"
        filter = filter.replace(braces, put_in[braces])
    try:
        check_filter(filter)
    except ValueError as error:
        return str(error)
    if filter.startswith("$"):
        return (
            f"{show(filter)} reaches outside the owner: topics that begin with $ belong to"
            " others (`$owner/…`) or to the server"
        )
    return None
