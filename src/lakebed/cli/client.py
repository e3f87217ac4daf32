"""Sends the requests of commands to a server, and raises its errors as `vocabulary.errors`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from lakebed.cli import exact
from lakebed.cli.home import token_of
from lakebed.cli.options import given
from lakebed.vocabulary.errors import (
    BadRequest,
    Conflict,
    Denied,
    FactorNeeded,
    Invalid,
    LakebedError,
    NotFound,
    Problem,
    Unauthenticated,
    Unavailable,
)

_TIMEOUT = httpx.Timeout(60, connect=5)  # seconds; a long query takes time before its first byte
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Server:
    """A connection to one server with one token. A context manager; not thread-safe."""

    def __init__(self, url: str, token: str | None, home: Path | None) -> None:
        """Without a token use the one of `home`; without that send none."""
        self.url = url.rstrip("/")
        token = token or (None if home is None else token_of(home))
        self._hint = (
            "" if token or home is None else f" (no --token, and no token in {home}/admin.token)"
        )
        try:
            host = httpx.URL(self.url).host
            self._http = httpx.Client(
                base_url=self.url,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                timeout=_TIMEOUT,
                trust_env=host not in _LOOPBACK,  # a proxy cannot reach our own loopback
            )
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise BadRequest("--url or --token", str(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, *below: str, **parameters: Any) -> Any:
        """Get the JSON document at `path`; see `ask`."""
        return self.ask("GET", path, *below, **parameters)

    def ask(self, method: str, path: str, *below: str, json: Any = None, **parameters: Any) -> Any:
        """Send a request and return the document of its answer; None of one without a body.

        Args:
            below: names of things, which follow `path`; each is one level, whatever is in it.
            json: the document to send.
            parameters: of the query; those that are None are left out.
        """
        sent = {} if json is None else {"json": json}
        answer = self.request(method, path, *below, params=parameters, **sent)
        return _json(answer) if answer.content else None

    def request(self, method: str, path: str, *below: str, **options: Any) -> httpx.Response:
        """Send a request; raise an answer of 400 and above as one of `vocabulary.errors`."""
        path = "/".join((path, *(quote(name, safe="") for name in below)))
        if "params" in options:
            options["params"] = given(**options["params"])
        with self._translated():
            answer = self._http.request(method, path, **options)
        self._check(answer)
        return answer

    def revise(
        self,
        path: str,
        name: str,
        changes: Mapping[str, Any],
        whole: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> Any:
        """Change what is given of a document, if nobody else changes it meanwhile.

        Args:
            whole: what takes its place first; None for what is there.

        Raises:
            LakebedError: somebody did: 412.
        """
        there = self.request("GET", path, name, params=parameters)
        document = {**(exact.loads(there.content) if whole is None else whole), **changes}
        match = {"If-Match": there.headers["etag"]}
        answer = self.request("PUT", path, name, json=document, params=parameters, headers=match)
        return _json(answer)

    def sign_in(self, user: str, password: str, code: str | None = None) -> None:
        """Begin a session, whose cookie is sent from now on. Only without a token.

        Raises:
            FactorNeeded: the user has a second factor, and there is no code.
        """
        self.ask("POST", "/api/v1/session", json=given(user=user, password=password, code=code))
        address = self._http.base_url  # as a page of the instance sends it
        self._http.headers["Origin"] = str(address.copy_with(raw_path=b"")).rstrip("/")

    def sign_out(self) -> None:
        """End the session, if the server can be reached."""
        with suppress(LakebedError):
            self.ask("DELETE", "/api/v1/session")

    def ready(self) -> dict[str, Any]:
        """Get the parts of /readyz; a 503 that names them is an answer too."""
        with self._translated():
            answer = self._http.get("/readyz")
        if answer.status_code != 503:
            self._check(answer)
        parts: dict[str, Any] = _json(answer)["parts"]
        return parts

    def batch(
        self, body: bytes, owner: str | None = None, path: str = "/api/v1/messages/batch"
    ) -> Any:
        """Send NDJSON messages or events; a 422 that counts rejected ones is an answer, as 202."""
        headers = {"Content-Type": "application/x-ndjson"}
        with self._translated():
            answer = self._http.post(path, content=body, headers=headers, params=given(owner=owner))
        if answer.status_code == 422 and b'"rejected"' in answer.content:
            return _json(answer)
        self._check(answer)
        return _json(answer)

    @contextmanager
    def stream(self, path: str, **parameters: Any) -> Iterator[Iterator[bytes]]:
        """Stream the body in chunks, without a time-out between them."""
        timeout = httpx.Timeout(None, connect=5)
        with (
            self._translated(),
            self._http.stream("GET", path, params=given(**parameters), timeout=timeout) as answer,
        ):
            if answer.is_error:
                answer.read()
                self._check(answer)
            yield answer.iter_bytes()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.UnsupportedProtocol:
            raise BadRequest("--url", f"{self.url!r} is not http:// or https://") from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            what = f"no server at {self.url} ({str(error) or 'no answer'})"
            raise Unavailable(f"{what}: start one by `lakebed up`, or name it by --url") from None
        except httpx.TimeoutException:
            raise Unavailable(f"{self.url} did not answer in time") from None
        except httpx.TransportError as error:
            raise Unavailable(f"the connection to {self.url} broke: {error}") from None

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_error:
            raise error_of(answer, self._hint)
        if answer.is_redirect:
            raise BadRequest("--url", f"{self.url} leads on to {answer.headers.get('location')}")


def _json(answer: httpx.Response) -> Any:
    try:
        return exact.loads(answer.content)
    except ValueError:
        raise LakebedError(f"{answer.url} did not answer with JSON: is that Lakebed?") from None


_KINDS: dict[int, type[LakebedError]] = {
    401: Unauthenticated,
    403: Denied,
    404: NotFound,
    409: Conflict,
    429: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(answer: httpx.Response, hint: str = "") -> LakebedError:
    """Make the error of a problem document (RFC 9457), or a general one of other bodies."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    problems = _problems(document)
    status = answer.status_code
    if status == 401 and any(problem.where == "code" for problem in problems):
        return FactorNeeded(_text(document, status, problems))
    if problems and status in (400, 422):
        return _invalid(status, problems)
    text = _text(document, status, problems)
    if status in (400, 422):
        return _invalid(status, [Problem("", text)])
    return _KINDS.get(status, LakebedError)(text + (hint if status == 401 else ""))


def _invalid(status: int, problems: list[Problem]) -> Invalid:
    if status == 422:
        return Invalid(*problems)
    error = BadRequest("", "")
    error.problems = tuple(problems)
    error.args = ("; ".join(map(str, problems)),)
    return error


def _problems(document: Mapping[str, Any]) -> list[Problem]:
    found = document.get("problems")
    if not isinstance(found, list):
        return []
    return [
        Problem(str(p.get("where", "")), str(p.get("what", "")), p.get("line"))
        for p in found
        if isinstance(p, dict)
    ]


def _text(document: Mapping[str, Any], status: int, problems: list[Problem]) -> str:
    if problems:
        return "; ".join(map(str, problems))
    said = document.get("detail") or document.get("title")
    return str(said) if said else f"the server answered with status {status}"
