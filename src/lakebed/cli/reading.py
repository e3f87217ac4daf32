"""Reads pages of records or events, one or all, in the order of display."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakebed.cli import exact

if TYPE_CHECKING:
    import httpx

    from lakebed.cli.client import Server

PAGE = 10_000  # records of a page when all of them are wanted


class Reading:
    """One query. Without an order it reads the newest rows, and shows the oldest of them first.

    Args:
        path: what is read.
        key: of its rows in an answer.

    Attributes:
        reverse: pages are newest first and must be reversed before they are shown.
        next_cursor: of the last page, if there is more.
    """

    def __init__(
        self,
        asked: dict[str, Any],
        order: str | None,
        everything: bool,
        limit: int,
        path: str = "/api/v1/records",
        key: str = "records",
    ) -> None:
        self._path, self._key = path, key
        self.reverse = order is None and not everything
        self.next_cursor: str | None = None
        self._everything = everything
        self._asked = {
            **{key: value for key, value in asked.items() if value is not None},
            "order": "desc" if self.reverse else order or "asc",
            "limit": PAGE if everything else limit,
        }

    def records(self, server: "Server") -> Iterator[dict[str, Any]]:
        """The records, as JSON objects."""
        for page in self._pages(server, "json"):
            records = exact.loads(page.content)[self._key]
            yield from reversed(records) if self.reverse else records

    def pages(self, server: "Server", form: str) -> Iterator[bytes]:
        """The pages in a format of the server, each in the order of the request."""
        for page in self._pages(server, form):
            yield page.content

    def _pages(self, server: "Server", form: str) -> Iterator["httpx.Response"]:
        asked = {**self._asked, "format": form}
        while True:
            page = server.request("GET", self._path, params=asked)
            if form == "json":
                self.next_cursor = exact.loads(page.content).get("next_cursor")
            else:
                self.next_cursor = page.headers.get("X-Next-Cursor") or None
            yield page
            if not self._everything or self.next_cursor is None:
                return
            asked.pop("offset", None)
            asked["cursor"] = self.next_cursor
