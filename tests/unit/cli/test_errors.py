"""What goes wrong is one line on stderr and an exit code that says who must do something."""

import pytest

from lakebed.cli.exits import Exit, exit_code
from lakebed.vocabulary import errors

from .conftest import FakeServer, Reply, Run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError(errors.Problem("http.listen", "no")), Exit.USAGE),
        (errors.BadRequest("limit", "too large"), Exit.USAGE),
        (errors.Invalid(errors.Problem("every", "no")), Exit.NO),
        (errors.NotFound("no such topic"), Exit.NO),
        (errors.Unauthenticated("who are you"), Exit.REFUSED),
        (errors.Conflict("taken"), Exit.REFUSED),
        (errors.JournalFull("full"), Exit.UNREACHABLE),
        (errors.JournalFailed("fsync"), Exit.FATAL),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: errors.LakebedError, code: Exit) -> None:
    assert exit_code(error) is code


def test_no_server_is_said_in_one_line(run: Run) -> None:
    result = run("topics", "--url", "http://127.0.0.1:9")
    assert result.code == Exit.UNREACHABLE
    assert result.err.count("\n") == 1
    assert "no server at http://127.0.0.1:9" in result.err


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 5), (403, 5), (404, 1), (409, 5), (413, 5), (422, 1), (500, 5), (503, 4), (400, 2)],
)
def test_a_problem_document_becomes_its_detail_and_an_exit_code(
    run: Run, server: FakeServer, status: int, code: int
) -> None:
    server.on("GET", "/api/v1/usage", Reply(status, {"title": "T", "detail": "what happened"}))
    result = run("usage", "--token", "t")
    assert (result.code, result.err) == (code, "lakebed: what happened\n")


def test_every_problem_the_server_names_gets_its_line(run: Run, server: FakeServer) -> None:
    problems = [{"where": "from", "what": "is after `to`"}, {"where": "limit", "what": "too large"}]
    server.on("GET", "/api/v1/records", Reply(400, {"problems": problems}))
    result = run("query", "a")
    assert result.code == Exit.USAGE
    assert result.err == "lakebed: from: is after `to`\nlakebed: limit: too large\n"


def test_an_answer_that_is_no_problem_document_is_named_by_its_status(
    run: Run, server: FakeServer
) -> None:
    server.on("GET", "/api/v1/usage", Reply(502, "<html>bad gateway</html>"))
    result = run("usage")
    assert (result.code, result.err) == (4, "lakebed: the server answered with status 502\n")


def test_an_answer_that_is_not_json_is_no_traceback(run: Run, server: FakeServer) -> None:
    server.on("GET", "/api/v1/usage", Reply(200, "<html>"))
    assert "is that Lakebed?" in run("usage").err


def test_a_missing_token_is_explained_when_the_server_asks_for_one(
    run: Run, server: FakeServer
) -> None:
    server.on("GET", "/api/v1/usage", Reply(401, {"detail": "a token is needed"}))
    assert "lakebed-data/admin.token" in run("usage").err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("query",),
        ("query", "a", "--limit", "0"),
        ("query", "a", "--from", "yesterday"),
        ("query", "a", "--format", "csv", "--plot"),
        ("query", "a", "--all", "--limit", "3"),
        ("query", "a", "--output", "x"),
        ("send", "a"),
        ("send", "a", "payload", "--lines"),
        ("simulate", "--mqtt", "nowhere"),
        ("simulate", "--duration", "soon"),
        ("simulate", "--devices", "10000", "--rate", "1000"),
        ("topics", "--url", "ftp://x"),
        ("topics", "--token", "nö"),
    ],
)
def test_wrong_usage_exits_2_before_anything_is_asked(
    run: Run, server: FakeServer, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert result.code == Exit.USAGE
    assert "Traceback" not in result.err
    assert server.seen == []


def test_a_role_that_there_is_not_is_wrong_usage(run: Run) -> None:
    result = run("serve", "--role", "relay")
    assert result.code == Exit.USAGE
    assert "no role 'relay': there are api, gateway, keeper" in result.err
