"""The log never stands in the way of what it tells about."""

import errno
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import typer

from lakebed.cli import logs
from lakebed.cli.main import main
from lakebed.system.settings import LogSection
from lakebed.vocabulary.errors import Problem, SettingsError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_on_a_full_disk_is_lost_and_harms_nobody(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", Full())
    logs.configure(LogSection(format=form))  # type: ignore[arg-type]
    log = structlog.get_logger("test")
    log.warning("the disk is full", reason="no room")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("a part failed")


def test_a_log_is_written_where_it_can_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(LogSection(format="json"))
    structlog.get_logger("test").warning("hello")
    assert '"event": "hello"' in capsys.readouterr().err


def test_with_json_every_line_is_json_whoever_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSection(format="json"))
    logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=_error())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("something is old", stacklevel=1)
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    sys.excepthook(ValueError, _error(), None)
    with pytest.raises(typer.Exit) as ended, logs.logged_errors(LogSection(format="json")):
        raise SettingsError(Problem("home", "is wrong"), Problem("http", "is wrong too"))
    assert ended.value.exit_code == 2
    told = capsys.readouterr().err
    assert "a secret" not in told  # what a variable held when it went wrong
    said = [json.loads(line) for line in told.splitlines()]
    assert [line["event"].split(":")[0] for line in said[2:]] == [
        "an uncaught error ended a thread",
        "an uncaught error ended the process", "home", "http",
    ]  # fmt: skip
    assert [line["level"] for line in said[:2]] == ["error", "warning"]


@pytest.mark.parametrize("form", ["console", "json"])
def test_tracebacks_have_no_values_of_variables(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogSection(format=form))  # type: ignore[arg-type]
    structlog.get_logger("test").error("a part failed", exc_info=_error("-".join("planted")))
    logging.getLogger("library").error("and another", exc_info=_error("-".join("planted")))
    told = capsys.readouterr().err
    assert told.count("ValueError") >= 2
    assert "p-l-a-n-t-e-d" not in told


def test_a_mistake_in_the_settings_is_told_in_the_format_that_they_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lakebed.toml").write_text("[log]\nformat = 'json'\n[http]\nlisten = 7\n")
    assert main(["up", "--home", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"].startswith("http.listen")


def _error(password: str = "a secret") -> ValueError:
    try:
        raise ValueError(f"broken: {len(password)}")
    except ValueError as error:
        return error
