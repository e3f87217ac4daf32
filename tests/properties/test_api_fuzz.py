"""The real server against requests made out of its own OpenAPI description, and against noise.

No answer is a 5xx but the 503 that says to come again; each conforms to what the description says.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakebed.policies.document import parse, read_file
from lakebed.vocabulary.errors import Invalid
from tests.nightly import often
from tests.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if often(0, 1) else 600)]
EASY = list(HealthCheck)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("fuzz") / "home") as started:
        yield started
        assert "Traceback" not in started.output


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30, verify=False) as made:
        yield made


@pytest.fixture(scope="module")
def description(server: Server) -> Any:
    from tests.properties import openapi

    return openapi.describe(f"{server.url}/api/openapi.json")


def test_every_operation_answers_as_described(description: Any, client: httpx.Client) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 15
    wrong = {}
    for operation in operations:
        try:
            fuzz(operation, client)
        except (Exception, BaseExceptionGroup) as error:
            wrong[operation.label] = str(error)
    assert not wrong, "\n\n".join(f"{label}: {what}" for label, what in wrong.items())


def fuzz(operation: Any, client: httpx.Client) -> None:
    """Ask in many ways, right and wrong, by the description of one operation."""
    from tests.properties import openapi

    @settings(max_examples=often(20, 2_000), deadline=None, suppress_health_check=EASY)
    @given(operation.as_strategy())
    def asked(case: Any) -> None:
        openapi.ask(case, client)

    asked()


# --- bodies ---------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
LINE = st.fixed_dictionaries(
    {},
    optional={
        "topic": st.sampled_from(["a/b", "", "+", "$x", "é", "a\0b"]) | JSON,
        "value": JSON,
        "payload_base64": st.sampled_from(["AA==", "A", "%%", ""]) | JSON,
        "time": st.sampled_from(["2026-01-01T00:00:00Z", "yesterday", 1e300, -1, 0]) | JSON,
        "id": st.text(max_size=300) | JSON,
        "name": st.text(max_size=10) | JSON,
    },
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.lists(LINE, max_size=5).map(lambda rows: b"\n".join(_dumped(row) for row in rows)),
    st.lists(LINE, max_size=5).map(lambda rows: _dumped(rows)),
    st.lists(st.binary(max_size=40), max_size=5).map(b"\n".join),
)
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(["application/json", "application/x-ndjson", "x", ""]),
        "Content-Encoding": st.sampled_from(["gzip", "zstd", "br", "identity"]),
        # a client may not send spaces at the ends
        "X-Message-Id": st.text(PRINTABLE, max_size=300).map(str.strip),
        "X-Event-Time": st.sampled_from(["0", "2026-01-01T00:00:00Z", "1e999", "nan", "-"]),
    },
)


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")


@pytest.mark.parametrize("path", ["messages?topic=a", "messages/batch", "events"])
@settings(max_examples=often(150, 20_000), deadline=None, suppress_health_check=EASY)
@given(body=BODIES, headers=HEADERS)
def test_no_body_breaks_the_intake(
    path: str, body: bytes, headers: dict[str, str], client: httpx.Client
) -> None:
    answer = client.post(f"/api/v1/{path}", content=body, headers=headers)
    assert answer.status_code in {202, 400, 413, 415, 422}, answer.text
    if answer.status_code != 202:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


# --- policy documents -----------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["number", "text", "json", "window", "aggregate", "archive", "last_n", "last_value", "24h",
     "1s", "15m", "7m", "-1h", "sum", "p95", "Europe/Berlin", "Mars/Base", "#", "a/+", "a/#/b",
     "/x", "", "2026-01-01T00:00:00Z", "64KiB", "1e400"]
)  # fmt: skip
VALUES = WORDS | JSON | st.lists(WORDS, max_size=3)
KEYS = ["name", "topics", "type", "at", "time_at", "keep", "for", "buffer", "every", "functions",
        "active", "count", "timezone", "filter", "transform"]  # fmt: skip
INNER = ["max_rate", "unique", "min", "max", "allow", "deny", "max_size", "scale", "offset",
         "round", "slice", "from", "until", "other"]  # fmt: skip
PARTS = st.dictionaries(st.sampled_from(INNER), VALUES, max_size=4)
RIGHT = {"name": "p", "topics": ["#"], "type": "number", "keep": "archive"}
DOCUMENTS = st.builds(
    lambda right, wrong: {**right, **wrong},
    st.just(RIGHT) | st.just({**RIGHT, "keep": "aggregate", "every": "1h", "functions": ["sum"]}),
    st.dictionaries(st.sampled_from(KEYS), VALUES | PARTS, max_size=3),
)


def taken_or_refused(read: Callable[[], Any]) -> None:
    refused = None
    try:
        read()
    except Invalid as error:
        refused = error
    if refused is not None:
        assert refused.problems
        assert all(problem.what for problem in refused.problems)


@settings(max_examples=often(500, 50_000), deadline=None, suppress_health_check=EASY)
@given(DOCUMENTS | JSON)
def test_a_policy_document_is_taken_or_refused_with_the_place(document: Any) -> None:
    taken_or_refused(lambda: parse(document, "ann", 1))


@settings(max_examples=often(300, 50_000), deadline=None, suppress_health_check=EASY)
@given(
    st.text(max_size=200)
    | DOCUMENTS.map(lambda d: json.dumps({"policies": [d]}))
    | JSON.map(json.dumps)
)
def test_a_policy_file_is_taken_or_refused_with_the_place(text: str) -> None:
    taken_or_refused(lambda: read_file(text, "ann"))


@settings(max_examples=often(40, 5_000), deadline=None, suppress_health_check=EASY)
@given(document=DOCUMENTS | JSON, way=st.sampled_from(["", "/check", "/preview"]))
def test_a_policy_sent_to_the_server_is_never_its_failure(
    document: Any, way: str, client: httpx.Client
) -> None:
    answer = client.post(f"/api/v1/policies{way}", content=_dumped(document))
    assert answer.status_code in {200, 201, 400, 409, 413, 422}, answer.text
