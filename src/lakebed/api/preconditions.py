"""`If-Match` of a request that changes something (RFC 9110, section 13.1.1).

def put(..., expected: ExpectedDep) -> ...:
    expected.check(current.version)     inside the transaction that writes
"""

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from lakebed.vocabulary.errors import BadRequest, Outdated

_TAGS = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_TAG = re.compile(r'(W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller has seen.

    Attributes:
        tags: ETags; None where it did not say.
        exists: whether anything that is there will do (`*`).
    """

    tags: frozenset[str] | None = None
    exists: bool = False

    def check(self, version: int | None) -> None:
        """Check against the version that is there, None for nothing.

        Raises:
            Outdated: it is not what the caller has seen.
        """
        if self.exists:
            if version is None:
                raise Outdated("If-Match: there is nothing of this name yet")
        elif self.tags is not None and str(version) not in self.tags:
            there = "there is nothing of this name" if version is None else f'it is "{version}" now'
            raise Outdated(f"If-Match: {there}: read it again, and change that")


async def expected(request: Request) -> Expected:
    text = request.headers.get("if-match")
    if text is None:
        return Expected()
    if text.strip() == "*":
        return Expected(exists=True)
    if not _TAGS.fullmatch(text):
        raise BadRequest("If-Match", 'write an ETag as it was answered, such as "17", or *')
    # weak tags never match here (RFC 9110, section 8.8.3.2)
    return Expected(frozenset(tag for weak, tag in _TAG.findall(text) if not weak))


ExpectedDep = Annotated[Expected, Depends(expected)]


def etag(version: int) -> str:
    return f'"{version}"'
