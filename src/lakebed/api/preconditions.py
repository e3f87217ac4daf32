"""`If-Match` and `If-None-Match` of a request that changes something (RFC 9110, section 13.1).

def put(..., expected: ExpectedDep) -> ...:
    expected.check(current.version)     inside the transaction that writes
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Request, Response

from lakebed.http.entity_tags import Tags, read_tags, tag_of
from lakebed.vocabulary.errors import BadRequest, Conflict, Outdated


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller has seen.

    Attributes:
        match: what must be there; None where it did not say.
        none_match: what must not be there.
    """

    match: Tags | None = None
    none_match: Tags | None = None

    def check(self, version: int | str | None) -> None:
        """Check against the version or the tag that is there, None for nothing.

        Raises:
            Outdated: it is not what the caller has seen.
        """
        tag = None if version is None else str(version)
        if self.match is not None:
            if self.match.any and tag is None:
                raise Outdated("If-Match: there is nothing of this name yet")
            if tag is None or not self.match.match_strongly(tag):
                there = "there is nothing of this name" if tag is None else f'it is "{tag}" now'
                raise Outdated(f"If-Match: {there}: read it again, and change that")
        if self.none_match is not None and tag is not None and self.none_match.match(tag):
            there = "there is one" if self.none_match.any else f'it is "{tag}"'
            raise Outdated(f"If-None-Match: {there} already")

    def check_document(self, document: Callable[[], dict[str, Any]]) -> None:
        """As `check`, of what has no version: its tag is made of what is shown.

        Args:
            document: called if there is a condition; makes others wait that would change it.
        """
        if self.match is not None or self.none_match is not None:
            self.check(_tag(document()))

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Around what creates: where the name is taken, the condition has failed."""
        try:
            yield
        except Outdated:
            raise
        except Conflict as error:
            if self.none_match is not None and self.none_match.any:
                raise Outdated(f"If-None-Match: {error}") from error
            raise


def seen(tag: str) -> Expected:
    """What somebody has seen who was shown this ETag, with or without its quotes."""
    return Expected(Tags(strong=frozenset({tag.strip('"')})))


async def expected(request: Request) -> Expected:
    return Expected(_tags(request, "If-Match"), _tags(request, "If-None-Match"))


def _tags(request: Request, name: str) -> Tags | None:
    if (text := request.headers.get(name)) is None:
        return None
    try:
        return read_tags(text)
    except ValueError:
        raise BadRequest(name, 'write an ETag as it was answered, such as "17", or *') from None


ExpectedDep = Annotated[Expected, Depends(expected)]

ANYTHING = Expected()
"""No condition: of callers that are no requests."""


def etag(version: int | str) -> str:
    return f'"{version}"'


def show(document: dict[str, Any], response: Response) -> dict[str, Any]:
    """Answer with what has no version; its tag is made of what is shown."""
    response.headers["ETag"] = etag(_tag(document))
    return document


def _tag(document: dict[str, Any]) -> str:
    return tag_of(msgspec.json.encode(document, order="sorted"))
