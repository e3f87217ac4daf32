"""Sentences of other layers in the language of a page: mistakes, refusals, what parts say.

They are English where they are made, and in all that programs read. Their translations stand in
`locale/LANGUAGE/sentences.po` under the English with `{}` for each value:

    "there is no user 'eve'" ──"there is no user {}"──> 'eve' ──"нет пользователя {}"──> told

A value that is such a sentence is translated as well. What is not known stays as it is.
"""

import json
import re
from collections.abc import Callable
from functools import cache, lru_cache

from lakebed.web import assets

_LONGEST = 2_000  # characters of what is translated
_DEEPEST = 3  # sentences within sentences
_VALUE = re.compile(r"\{(\d*)\}")
_WHERE = re.compile(r"(?:line \d+: )?[\w.\-\[\]/]{1,200}")
_PARTS = "; "  # between mistakes that are told as one text

_Pattern = tuple[list[str], str]


def teller(language: str) -> Callable[[object], str]:
    """What translates sentences into a language."""
    return lambda text: told(language, str(text))


@lru_cache(2_000)
def told(language: str, text: str, depth: int = 0) -> str:
    """A sentence in a language; also where mistakes have their place before them."""
    patterns = _patterns(language)
    if not patterns or not text or len(text) > _LONGEST or depth > _DEEPEST:
        return text
    for literals, translation in patterns:
        if (values := _values(literals, text)) is not None:
            inside = [told(language, value, depth + 1) for value in values]
            return _filled(translation, inside)
    if _PARTS in text:
        return _PARTS.join(told(language, part, depth + 1) for part in text.split(_PARTS))
    where, colon, what = text.partition(": ")
    if colon and _WHERE.fullmatch(where):
        return f"{where}: {told(language, what, depth + 1)}"
    return text


def _values(literals: list[str], text: str) -> list[str] | None:
    """What stands between the literals of a pattern; None where the text is another one.

    Each literal is taken where it comes first, so that it takes linear time.
    """
    first, *others = literals
    if not text.startswith(first):
        return None
    if not others:
        return [] if text == first else None
    values, at = [], len(first)
    for literal in others[:-1]:
        found = text.find(literal, at)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(literal)
    end = len(text) - len(others[-1])
    if end < at or not text.endswith(others[-1]):
        return None
    return [*values, text[at:end]]


def _filled(translation: str, values: list[str]) -> str:
    following = iter(values)
    return _VALUE.sub(
        lambda found: values[int(found[1])] if found[1] else next(following, ""), translation
    )


@cache
def _patterns(language: str) -> list[_Pattern]:
    """Literals between values, and the translation; those with the most letters first."""
    file = assets.DIST / "locale" / f"{language}.sentences.json"
    if not file.exists():
        return []
    found: dict[str, str] = json.loads(file.read_text("utf-8"))
    patterns = [(text.split("{}"), translation) for text, translation in found.items()]
    return sorted(patterns, key=lambda pattern: -sum(map(len, pattern[0])))
