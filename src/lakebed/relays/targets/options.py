"""Checks the options of targets: each rule takes a value and returns it, or raises ValueError."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from lakebed.documents.source import Path
from lakebed.policies.fields import is_text, one_of
from lakebed.relays.targets.target import Options
from lakebed.vocabulary.errors import show

Rule = Callable[[object], object]
_SECRET = re.compile(r"secret:[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_LONGEST = 2048  # characters of a URL or a template
_MOST_HEADERS = 32
_SENT = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key",
     "content-encoding", "x-lakebed-signature", "accept-encoding"}
)  # fmt: skip


def problems(
    options: Options, rules: Mapping[str, Rule], needed: Collection[str] = ()
) -> Sequence[tuple[Path, str]]:
    """Every option that a rule refuses, and each of `needed` that is not there."""
    found: list[tuple[Path, str]] = []
    for name, rule in rules.items():
        value = options.get(name)
        if value is None:
            if name in needed:
                found.append(((name,), "it is missing"))
            continue
        try:
            rule(value)
        except ValueError as error:
            found.append(((name,), str(error)))
    return found


def together(
    options: Options, found: Sequence[tuple[Path, str]], one: str, other: str
) -> Sequence[tuple[Path, str]]:
    """What is missing where one of two options is there, and no mistake was found in it."""
    bad = {path[0] for path, _ in found}
    if (one in options) == (other in options) or bad & {one, other}:
        return []
    return [((one if other in options else other,), f"{one} and {other} are given together")]


def is_secret(value: object) -> bool:
    return isinstance(value, str) and value.startswith("secret:")


def secret(value: object) -> str:
    """A reference to a secret: passwords and keys do not stand in documents."""
    if not isinstance(value, str) or not _SECRET.match(value):
        raise ValueError('write "secret:NAME", and the value by `lakebed secrets put NAME`')
    return value


def url(*schemes: str, example: str) -> Rule:
    """A URL of one of these schemes without a password in it, or a secret that has the URL."""

    def check(value: object) -> object:
        if is_secret(value):
            return secret(value)
        text = is_text(value, "a URL")
        try:
            check_url(text, schemes)
        except ValueError as error:
            raise ValueError(f"{error}: write {example}") from None
        if urlsplit(text).password is not None:
            raise ValueError('a password belongs into a secret: write "secret:NAME"')
        return text

    return check


def check_url(text: str, schemes: Collection[str]) -> None:
    """Raises ValueError: it is no URL of one of these schemes that names a host."""
    if len(text) > _LONGEST or any(ord(one) <= 0x20 or ord(one) == 0x7F for one in text):
        raise ValueError("a URL has at most 2048 characters, and no spaces")
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError(f"the URL begins with {' or '.join(f'{one}://' for one in schemes)}")
    if "," not in parts.netloc and not parts.hostname:
        raise ValueError("the URL names no host")
    if "," not in parts.netloc and parts.port == 0:
        raise ValueError("a port is from 1 to 65535")


def whole(least: int, most: int) -> Rule:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}, not {show(value)}")
        return value

    return check


def flag(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError(f"true or false, not {show(value)}")
    return value


def choice(what: str, *allowed: str) -> Rule:
    return lambda value: one_of(value, what, allowed)


def text(longest: int = _LONGEST) -> Rule:
    def check(value: object) -> object:
        found = is_text(value, "it")
        if not 1 <= len(found) <= longest or "\0" in found:
            raise ValueError(f"1 to {longest} characters")
        return found

    return check


def names(most: int, longest: int) -> Rule:
    """A name, or a list of different ones."""

    def check(value: object) -> object:
        listed = value if isinstance(value, list) else [value]
        good = all(isinstance(one, str) and 1 <= len(one) <= longest for one in listed)
        if not good or not 1 <= len(listed) <= most:
            raise ValueError(f"write a list of 1 to {most} names")
        if len(set(listed)) != len(listed):
            raise ValueError("a name stands there twice")
        return value

    return check


def headers(value: object) -> object:
    """Further headers: a mapping of names to texts or secrets."""
    if not isinstance(value, Mapping) or not 1 <= len(value) <= _MOST_HEADERS:
        raise ValueError(f'1 to {_MOST_HEADERS} headers, such as {{X-Key: "secret:NAME"}}')
    for name, given in value.items():
        if not isinstance(name, str) or not _HEADER.match(name):
            raise ValueError(f"{show(name)} is no name of a header")
        if name.lower() in _SENT:
            raise ValueError(f"the header {name} is not to be chosen")
        if is_secret(given):
            secret(given)
        elif not isinstance(given, str) or not _printable(given):
            raise ValueError(f"the header {name} is printable text, or a secret")
        elif name.lower() in ("authorization", "cookie"):
            raise ValueError(f'{name} belongs into a secret: write "secret:NAME"')
    return value


def _printable(value: str) -> bool:
    return len(value) <= _LONGEST and all(" " <= one <= "~" for one in value)


def template(value: object) -> str:
    """Text with placeholders `{topic}`, `{policy}`, or of any column, see `naming`."""
    found = is_text(value, "a template")
    if not 1 <= len(found) <= _LONGEST:
        raise ValueError(f"a template has 1 to {_LONGEST} characters")
    for name in _PLACEHOLDER.findall(found):
        if not _NAME.match(name):
            raise ValueError(f"{{{name}}} is no placeholder: write {{topic}}, or another column")
    if "{" in (rest := _PLACEHOLDER.sub("", found)) or "}" in rest:
        raise ValueError("a brace that is not closed or not opened")
    return found


def filled(template: str, of: Callable[[str], str]) -> str:
    """The template with what `of` says for the name of each placeholder."""
    if "{" not in template:
        return template
    return _PLACEHOLDER.sub(lambda found: of(found[1]), template)


def listed(options: Options, name: str, otherwise: Sequence[str]) -> list[str]:
    """A value that is one name or several."""
    value: Any = options.get(name)
    if value is None:
        return list(otherwise)
    return list(value) if isinstance(value, list) else [value]
