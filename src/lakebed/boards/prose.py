"""The text of a tile: a small subset of Markdown, as blocks and spans.

    text ──blocks──> headings, lists, paragraphs ──template, which escapes──> HTML

Only what is named here means anything; all else, HTML and links too, is text.
"""

import re
from typing import NamedTuple

_SPAN = re.compile(r"\*\*([^*\n]+)\*\*|\*([^*\n]+)\*|`([^`\n]+)`")
_STYLES = ("strong", "em", "code")


class Span(NamedTuple):
    """Attributes:
    style: `strong`, `em`, `code`, or "" for plain text.
    """

    style: str
    text: str


class Block(NamedTuple):
    """Attributes:
    kind: `heading`, `list` or `paragraph`.
    lines: each a list of spans; of a list its items.
    """

    kind: str
    lines: list[list[Span]]


def blocks(text: str) -> list[Block]:
    """The blocks of a text, in order."""
    found: list[Block] = []
    kind = ""
    for line in text.splitlines():
        before, (kind, rest) = kind, _kind(line.strip())
        if not kind:
            continue
        if kind == "heading" or kind != before:
            found.append(Block(kind, []))
        found[-1].lines.append(spans(rest))
    return found


def _kind(line: str) -> tuple[str, str]:
    if line.startswith("#"):
        return "heading", line.lstrip("#").strip()
    if line.startswith("- "):
        return "list", line[2:]
    return ("paragraph", line) if line else ("", "")


def spans(line: str) -> list[Span]:
    """The spans of a line."""
    found: list[Span] = []
    end = 0
    for match in _SPAN.finditer(line):
        if match.start() > end:
            found.append(Span("", line[end : match.start()]))
        style = _STYLES[(match.lastindex or 1) - 1]
        found.append(Span(style, match[match.lastindex or 1]))
        end = match.end()
    if end < len(line):
        found.append(Span("", line[end:]))
    return found
