"""The object store through obstore, for a folder on disk and for S3.

A name is a path with slashes. Writes are atomic: in a folder, obstore writes a temporary file and
renames it. It does not call fsync, so this module does.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from lakebed.system.advice import reason
from lakebed.system.files import sync
from lakebed.vocabulary.errors import NotFound, Problem, SettingsError, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config

_RETRIES: "RetryConfig" = {"max_retries": 8, "retry_timeout": timedelta(seconds=30)}
"""Retries of one request, with exponential back-off; then the caller gets the error."""
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name the server of `s3://…`: the first that is set wins. The first two are those
of AWS's own tools; without a rule of ours the environment's order would decide."""


_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
    "AWS_SKIP_SIGNATURE",
)
"""Variables that say where credentials come from. Without any, the library would ask the metadata
address of a cloud, which is not there elsewhere, or belongs to somebody else."""
_NO_CREDENTIALS = (
    "there are no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
    " environment of this process; on a machine of AWS with a role of its own, set"
    " AWS_METADATA_ENDPOINT=http://169.254.169.254"
)
_REMOTE_ADVICE = {
    "PermissionDeniedError": "; these credentials may not do that: see the policy of the bucket",
    "UnauthenticatedError": "; the credentials are wrong: see AWS_ACCESS_KEY_ID",
    "NotFoundError": "",
}
_UNREACHABLE = "; is AWS_ENDPOINT (AWS_ENDPOINT_URL) right, and reachable from this machine?"


class ObjectFolder:
    """Implements `ports.Objects`. Any thread.

    Args:
        folder: the folder whose files are the objects; None for S3, whose puts are durable.
        location: the store in messages.
    """

    def __init__(self, store: ObjectStore, folder: Path | None, location: str) -> None:
        self._store, self._folder, self.location = store, folder, location

    def put(self, name: str, source: bytes | Path) -> None:
        with self._translated(f"write {name}"):
            obstore.put(self._store, name, source)
            if self._folder is not None:
                _make_durable(self._folder, name)

    def get(self, name: str) -> bytes:
        with self._translated(f"read {name}"):
            return bytes(obstore.get(self._store, name).bytes())

    def fetch(self, name: str, into: Path) -> None:
        with _translated_writing(into), _private(into) as file:
            for piece in self._pieces(name):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    def _pieces(self, name: str) -> Iterator[bytes]:
        with self._translated(f"read {name}"):
            for piece in obstore.get(self._store, name).stream():
                yield bytes(piece)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        with self._translated("list"):
            pages = obstore.list(self._store, prefix or None)
            return {found["path"]: found["size"] for page in pages for found in page}

    def folders(self) -> set[str]:
        with self._translated("list"):
            found = obstore.list_with_delimiter(self._store)
        below = {folder.rstrip("/") for folder in found["common_prefixes"]}
        return below | {item["path"] for item in found["objects"]}

    def delete(self, name: str) -> None:
        with self._translated(f"delete {name}"):
            obstore.delete(self._store, name)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise NotFound(f"{self.location}: cannot {doing}: it is not there") from None
        except (BaseError, OSError) as error:
            what = f"{self.location}: cannot {doing}: {reason(error)}"
            if self._folder is None:
                what += _REMOTE_ADVICE.get(type(error).__name__, _UNREACHABLE)
            raise StoreUnavailable(what) from error


def open_objects(url: str, *, make: bool = False) -> ObjectFolder:
    """Open `s3://BUCKET/PREFIX` (server and credentials from AWS_… variables) or a folder.

    Args:
        url: of the store, or a path.
        make: whether to make a missing folder.

    Raises:
        SettingsError: it is no URL of an object store.
        NotFound: there is no such folder.
        StoreUnavailable: the folder cannot be made.
    """
    if re.match(r"[a-z0-9]+://", url) and not url.startswith("file://"):
        return _remote(url)
    folder = Path(url.removeprefix("file://"))
    try:
        if not make and not folder.is_dir():
            raise NotFound(f"there is no folder {folder}")
        return ObjectFolder(LocalStore(folder, mkdir=make), folder, str(folder))
    except (BaseError, OSError) as error:
        raise StoreUnavailable(f"the folder {folder} cannot be used: {reason(error)}") from None


def _remote(url: str) -> ObjectFolder:
    what = f"{url!r} is neither a folder nor s3://BUCKET/PREFIX"
    if not url.startswith("s3://"):
        raise SettingsError(Problem("objects", what))
    if not any(map(os.environ.get, _CREDENTIALS)):
        raise SettingsError(Problem(url, _NO_CREDENTIALS))
    try:
        given = (os.environ.get(name) for name in _ENDPOINTS)
        endpoint = next(filter(None, given), None)
        config: S3Config = {} if endpoint is None else {"endpoint": endpoint}
        return ObjectFolder(from_url(url, config=config, retry_config=_RETRIES), None, url)
    except (BaseError, ValueError) as error:
        raise SettingsError(Problem("objects", f"{what}: {error}")) from None


@contextmanager
def _translated_writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path}: {reason(error)}") from error


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _make_durable(folder: Path, name: str) -> None:
    """Fsync the file and its parent folders, and make the file private.

    Its content came from private files, but obstore makes files readable by all.
    """
    (folder / name).chmod(0o600)
    sync(folder / name)
    for above in (folder / name).parents:
        sync(above)
        if above == folder:
            break
