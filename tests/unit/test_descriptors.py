"""Connections are refused before the stores run out of files, counted and logged now and then."""

from structlog.testing import capture_logs

from lakebed.system.descriptors import Descriptors, too_few


def test_devices_leave_descriptors_to_http_and_both_to_the_stores() -> None:
    descriptors = Descriptors(256)
    assert not descriptors.refuses(191, "mqtt")
    assert descriptors.refuses(192, "mqtt")
    assert not descriptors.refuses(192, "http", 0.5)
    assert descriptors.refuses(224, "http", 0.5)
    assert descriptors.refused == 2


def test_a_flood_is_counted_and_logged_once_in_a_while() -> None:
    now = 0.0
    descriptors = Descriptors(100, lambda: now)
    with capture_logs() as said:
        for _ in range(500):
            descriptors.refuses(99, "mqtt")
        now = 60.0
        descriptors.refuses(99, "mqtt")
    assert [line["refused"] for line in said] == [1, 501]
    assert "ulimit -n" in said[0]["do"]


def test_too_few_descriptors_for_the_connections_that_are_allowed_are_told() -> None:
    assert too_few(65_536, 20_000) == ""
    assert "enough for 192 connections" in too_few(256, 20_000)
