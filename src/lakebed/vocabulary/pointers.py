"""JSON pointers, RFC 6901: `/sensors/0/celsius`."""

from typing import Any, Final

_LONGEST = 1024  # characters


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()


MISSING: Final = Missing()
"""Returned by `follow` if the document has nothing at the pointer; JSON's null is None."""


def parse_pointer(pointer: str) -> tuple[str, ...]:
    """The reference tokens, unescaped (section 4). An empty pointer is the whole document.

    Raises:
        ValueError: not a pointer (section 3).
    """
    if len(pointer) > _LONGEST:
        raise ValueError(f"a JSON pointer is at most {_LONGEST} characters long")
    if not pointer:
        return ()
    if pointer[0] != "/":
        raise ValueError(
            f"{pointer!r} is not a JSON pointer: it begins with a slash, such as /celsius"
        )
    if "~" in pointer.replace("~0", "").replace("~1", ""):
        raise ValueError(
            f"{pointer!r} is not a JSON pointer: after ~ comes 0 (for ~) or 1 (for a slash)"
        )
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def follow(document: Any, tokens: tuple[str, ...]) -> Any:
    """The part of a decoded document that the tokens lead to, or MISSING."""
    for token in tokens:
        if isinstance(document, dict):
            document = document.get(token, MISSING)
            if document is MISSING:
                return MISSING
        elif isinstance(document, list) and _is_index(token) and int(token) < len(document):
            document = document[int(token)]
        else:
            return MISSING
    return document


def _is_index(step: str) -> bool:
    # section 4: digits without leading zeros; limited, because Python refuses to parse long ones
    if not (step.isascii() and step.isdigit() and len(step) < 10):
        return False
    return step[0] != "0" or step == "0"
