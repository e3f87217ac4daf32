"""YAML or JSON text as plain JSON values, with the line each of them stands in.

The dialect is the core schema of YAML 1.2 (section 10.3), of which JSON is a part: `on`, `12:30`
and `2026-01-01` stay the text they look like, and only true, false, null and numbers are special.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from lakebed.vocabulary.errors import Invalid, Problem

Path = tuple[str | int, ...]

_LARGEST = 4 * 2**20  # characters
_DEEPEST = 32
_MOST = 500_000  # values, each alias counted as what it stands for

_TAG = "tag:yaml.org,2002:"
_PLAIN: dict[str, tuple[re.Pattern[str], str, Callable[[str], Any]]] = {
    "null": (re.compile(r"~|null|Null|NULL|"), "~nN", lambda text: None),
    "bool": (
        re.compile(r"true|True|TRUE|false|False|FALSE"),
        "tTfF",
        lambda text: text.lower() == "true",
    ),
    "int": (
        re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
        "-+0123456789",
        lambda text: int(text, 0 if text[:2] in ("0o", "0x") else 10),
    ),
    "float": (
        re.compile(
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        "-+.0123456789",
        lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    ),
}


class _Loader(yaml.CSafeLoader):
    """libyaml's reader with the core schema. It composes nodes, and constructs no objects."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, (_pattern, _first, _) in _PLAIN.items():
    _whole = re.compile(f"(?:{_pattern.pattern})\\Z")
    # "" stands for a value that is left out
    _Loader.add_implicit_resolver(
        _TAG + _name, _whole, [*_first, ""] if _name == "null" else list(_first)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a text.

    Attributes:
        value: dicts with text keys, lists, text, numbers, booleans, None.
        lines: for each path the 1-based line of its key or, in a list, of the item.
    """

    value: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """The line of a value; if it is missing, of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_source(text: str) -> Source:
    """Read one document.

    Raises:
        Invalid: not YAML, a key twice, or more than any set of policies needs.
    """
    if len(text) > _LARGEST:
        raise Invalid(Problem("", f"the text is longer than {_LARGEST} characters"))
    try:
        _check_bounds(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise Invalid(_syntax_problem(error)) from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise Invalid(Problem("", f"this is not YAML: {error}".splitlines()[0])) from None
    if node is None:
        raise Invalid(Problem("", "there is nothing in it: write `policies:` and a list", 1))
    reader = _Reader()
    value = reader.read(node, (), _line(node))
    if reader.problems:
        raise Invalid(*reader.problems)
    return Source(value, reader.lines)


def _check_bounds(text: str) -> None:
    """Limit depth and size, by events, before nodes are composed: these take stack and memory."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if count > _MOST:
            raise Invalid(_too_many(_line(event)))
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Invalid(_too_deep(_line(event)))


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark is not None else 1


def _too_deep(line: int) -> Problem:
    return Problem("", f"nested more than {_DEEPEST} levels deep", line)


def _too_many(line: int) -> Problem:
    return Problem("", f"it holds more than {_MOST} values", line)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return Problem("", f"this is not YAML: {words}", None if mark is None else mark.line + 1)


class _Reader:
    """Walks the nodes; collects lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self._count = 0

    def read(self, node: yaml.Node, path: Path, line: int) -> Any:
        self.lines[path] = line
        self._count += 1
        # an alias may stand for what holds it: a tree without end
        if len(path) > _DEEPEST:
            raise Invalid(_too_deep(line))
        if self._count > _MOST:
            raise Invalid(_too_many(line))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.read(item, (*path, index), _line(item))
                for index, item in enumerate(node.value)
            ]
        return self._scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            key = key_node.value
            if not isinstance(key, str):
                self.problems.append(Problem("", "a key is text", line))
            elif key in mapping:
                first = self.lines[(*path, key)]
                self.problems.append(Problem(key, f"this key stands in line {first} already", line))
            else:
                mapping[key] = self.read(value_node, (*path, key), line)
        return mapping

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        name = node.tag.removeprefix(_TAG)
        if name in ("str", "timestamp"):
            return node.value
        if name not in _PLAIN:
            self.problems.append(Problem("", f"the tag {node.tag} is not known here", line))
            return None
        try:
            return _PLAIN[name][2](node.value)
        except ValueError:
            self.problems.append(Problem("", f"{node.value[:40]!r} is not of type {name}", line))
            return None
