"""Errors reach Sentry with what tells where they are from, and without what users have sent."""

import json
from typing import Any

import pytest
import structlog
from tests.servers.collecting import Collector, collecting

from lakebed.cli.logs import configure
from lakebed.system.settings import LogSection
from lakebed.telemetry.sentry import MOST, Reporter, scrubbed

PAYLOAD, TOKEN, PASSWORD = "21.5-of-the-cellar", "lb_" + "a1B2" * 10, "hunter2-of-ann"
OWNER = "ann-of-the-hill"


def exc_info(error: BaseException) -> Any:
    return type(error), error, error.__traceback__


def fail(payload: str, token: str) -> None:
    secret = {"password": PASSWORD, "payload": payload, "token": token}
    raise ValueError(f"could not convert {payload!r} with {token} ({secret})")


@pytest.fixture
def sentry() -> Any:
    with collecting() as found:
        yield found


def reported(sentry: Collector, *told: tuple[str, dict[str, Any], BaseException | None]) -> str:
    """Report, and wait for it; all that was posted."""
    reporter = Reporter(sentry.dsn, ["keeper"])
    for text, fields, error in told:
        reporter.report("error", text, fields, exc_info(error) if error else (None, None, None))
    reporter.close()
    return "\n".join(posted.body.decode() for posted in sentry.posted)


def test_an_error_is_told_with_its_place_and_its_context(sentry: Collector) -> None:
    try:
        fail(PAYLOAD, TOKEN)
    except ValueError as error:
        reported(sentry, ("the keeper failed", {"part": "keeper", "attempts": 3}, error))
    (event,) = sentry.events()
    assert event["message"] == "the keeper failed"
    assert event["tags"] == {"roles": "keeper"}
    assert event["contexts"]["log"] == {"part": "keeper", "attempts": 3}
    (raised,) = event["exception"]["values"]
    assert raised["type"] == "ValueError"
    assert [frame["function"] for frame in raised["stacktrace"]["frames"]][-1] == "fail"
    assert event["release"].startswith("lakebed@")


def test_nothing_that_users_have_sent_and_no_secret_leaves_the_process(sentry: Collector) -> None:
    fields = {
        "topic": PAYLOAD, "payload": PAYLOAD, "owner": OWNER, "password": PASSWORD,
        "reason": f"refused {PAYLOAD!r}: Authorization: Bearer {TOKEN}", "token": TOKEN,
        "store": f"postgresql://lakebed:{PASSWORD}@db.example/lakebed",
    }  # fmt: skip
    try:
        try:
            fail(PAYLOAD, TOKEN)
        except ValueError as first:
            raise RuntimeError(f"[SQL: INSERT] [parameters: ({PAYLOAD}, 1)]") from first
    except RuntimeError as error:
        sent = reported(sentry, ("it failed", fields, error), (f"token={TOKEN}", {}, None))
    assert len(sentry.events()) == 2
    for hidden in (PAYLOAD, TOKEN, PASSWORD, OWNER):
        assert hidden not in sent, hidden
    assert "[hidden]" in sent
    assert '"vars"' not in sent
    assert "sys.argv" not in sent


def test_an_error_in_a_loop_is_not_told_without_end(sentry: Collector) -> None:
    at = [0.0]
    reporter = Reporter(sentry.dsn, clock=lambda: at[0])
    for _ in range(MOST + 20):
        reporter.report("error", "again", {}, (None, None, None))
    at[0] = 60.0
    reporter.report("critical", "the next minute", {}, (None, None, None))
    reporter.close()
    told = [event["message"] for event in sentry.events()]
    assert told.count("again") <= MOST
    assert told[-1] == "the next minute"


def test_a_project_that_does_not_answer_stops_nothing() -> None:
    reporter = Reporter("http://public@127.0.0.1:1/7")
    reporter.report("error", "nobody hears it", {}, (None, None, None))
    reporter.close()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("KeyError: 'cellar'", "KeyError: [hidden]"),
        ('at b"x\\"y" and `z`', "at [hidden] and [hidden]"),
        ("amqp://ann:pw@host/x", "amqp://[hidden]host/x"),
        ("password = pw, then", "[hidden] then"),
        ("it's 5 of 7", "it's 5 of 7"),
        ("x" * 600, "x" * 500 + "…"),
    ],
)
def test_what_is_quoted_or_secret_is_left_out(text: str, left: str) -> None:
    assert scrubbed(text) == left


def test_what_is_logged_as_an_error_is_reported_and_nothing_else() -> None:
    told: list[tuple[str, str, dict[str, Any], Any]] = []
    try:
        configure(LogSection(level="error"), lambda *given: told.append(given))  # type: ignore[arg-type]
        log = structlog.get_logger("once")
        log.warning("it is late")
        log.error("it failed", part="keeper")
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("it broke")
    finally:
        structlog.reset_defaults()
    assert [(level, text) for level, text, _, _ in told] == [
        ("error", "it failed"),
        ("error", "it broke"),
    ]
    assert told[0][2] == {"part": "keeper"}
    assert told[0][3] == (None, None, None)
    assert told[1][3][0] is KeyError
    assert json.dumps(told[1][2]) == "{}"
