"""References to secrets in documents: a text `secret:NAME` stands for the value."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

PREFIX = "secret:"
MOST_SECRETS = 100  # of an owner
LONGEST = 16_384  # bytes of a value: a private key or a list of certificates fits
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NO_NAME = "a name is 1 to 64 letters, digits, and . _ - behind the first"


class Use(NamedTuple):
    """A document that refers to a secret, such as `relays`, `minutes`."""

    section: str
    name: str


def is_name(text: str) -> bool:
    """Whether a secret can be called so."""
    return _NAME.fullmatch(text) is not None


def is_reference(value: object) -> bool:
    """Whether a value of a document means a secret, by a good name or not."""
    return isinstance(value, str) and value.startswith(PREFIX)


def name_in(text: str) -> str:
    """The name of the secret that a text such as `secret:warehouse` refers to.

    Raises:
        ValueError: it refers to none, or its name is none.
    """
    name = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX):
        raise ValueError("write secret:NAME, the name of a secret")
    if not is_name(name):
        raise ValueError(f"{PREFIX}{name[:64]} is no reference to a secret: {NO_NAME}")
    return name


def names_in(document: Any) -> set[str]:
    """The names of all secrets that a document refers to, however deep."""
    found: set[str] = set()
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if is_reference(value) and is_name(value.removeprefix(PREFIX)):
                found.add(value.removeprefix(PREFIX))
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
    return found


def uses(section: str, documents: Iterable[Mapping[str, Any]]) -> dict[str, list[Use]]:
    """The documents of a section that refer to each secret."""
    found: dict[str, list[Use]] = {}
    for document in documents:
        for name in sorted(names_in(document)):
            found.setdefault(name, []).append(Use(section, str(document["name"])))
    return found
