"""The value of a secret in memory, which does not print itself."""

import base64
import hmac
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit

_HIDDEN = "…"
_LEAST = 8  # characters of a part of an address that is hidden by itself


class Secret:
    """The value of a secret; only `reveal` gives it.

    Logs, errors, f-strings and debuggers show `secret:NAME`, and it can be neither pickled nor
    encoded as JSON. Two are equal if their values are, so a change is seen by comparing.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value, for the call that needs it. Never keep, log or show it."""
        return self._value

    def __str__(self) -> str:
        return f"secret:{self.name}"

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("the value of a secret is not written anywhere")


def redacted(text: str, *secrets: Secret) -> str:
    """A text of others, such as an error of a driver, without the values of these secrets.

    Of a value that is an address its password, path and query are hidden too where they stand
    alone, and so are the forms in which libraries quote a value.
    """
    parts = {part for secret in secrets for part in _forms(secret.reveal())}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, _HIDDEN)
    return text


def _forms(value: str) -> set[str]:
    found = {value, value.strip()}
    try:
        address = urlsplit(value)
        password = address.password
    except ValueError:
        address, password = urlsplit(""), None
    if password:
        found |= {password, unquote(password)}
    if address.scheme and address.netloc:
        pieces = [address.path, address.query, *address.path.split("/")]
        pieces += (pair.partition("=")[2] for pair in address.query.split("&"))
        found |= {piece for piece in pieces if len(piece) >= _LEAST}
    found |= {quote(part, safe="") for part in found} | {quote(part) for part in found}
    found |= {repr(part)[1:-1] for part in found}
    found.add(base64.b64encode(value.encode()).decode())
    return found - {""}
