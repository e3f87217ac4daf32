"""The log never stands in the way of what it tells about."""

import errno
import io
from collections.abc import Iterator

import pytest
import structlog

from lakebed.cli import logs
from lakebed.system.settings import LogSection


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


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
