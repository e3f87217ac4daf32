"""Static files: scripts and styles that `tools/web` has built, under names with their hashes.

A name changes with its content, so browsers keep a file for ever.
"""

import gzip
import json
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from lakebed.access.actions import Action
from lakebed.api.callers import Public
from lakebed.http.negotiation import coding
from lakebed.vocabulary.errors import NotFound

DIST = Path(__file__).parent / "dist"
router = APIRouter(include_in_schema=False)

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
}
_COMPRESSED = (".js", ".css", ".svg", ".txt")
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def manifest() -> dict[str, str]:
    """Names of files with hashes, by their names without; empty where nothing was built."""
    file = DIST / "manifest.json"
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def address(name: str) -> str | None:
    """The address of a file, such as `style.css`; None where it was not built."""
    hashed = manifest().get(name)
    return None if hashed is None else f"/static/{hashed}"


@router.get("/static/{name}", dependencies=[Public(Action.API_DESCRIBE)])
def show(request: Request, name: str) -> Response:
    """A file of the build; others are not looked for."""
    file = DIST / name
    if name not in _names() or file.suffix not in _TYPES:
        raise NotFound(f"there is no file {name!r}")
    headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
    if file.suffix in _COMPRESSED:
        headers["Vary"] = "Accept-Encoding"
        if coding(request.headers.get("accept-encoding", ""), ("gzip",)) is not None:
            headers["Content-Encoding"] = "gzip"
            return Response(_compressed(name), headers=headers, media_type=_TYPES[file.suffix])
    return Response(_content(name), headers=headers, media_type=_TYPES[file.suffix])


@cache
def _names() -> frozenset[str]:
    """All files that were built: chunks of scripts are named by scripts alone."""
    return frozenset(file.name for file in DIST.glob("*")) if DIST.exists() else frozenset()


@cache
def _content(name: str) -> bytes:
    return (DIST / name).read_bytes()


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(_content(name), 9, mtime=0)
