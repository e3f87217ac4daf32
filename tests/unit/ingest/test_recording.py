"""Which attributes are recorded with a message, and how many."""

import pytest

from lakebed.ingest.recording import (
    LEFT_OUT,
    LONGEST_CONTENT_TYPE,
    MOST_PROPERTIES,
    MOST_PROPERTY_BYTES,
    AttributeRecorder,
)
from lakebed.ingest.settings import IngestSection
from lakebed.vocabulary.attributes import Attributes

UNIT = (("unit", "°C"),)


def recorder(*names: str) -> AttributeRecorder:
    return AttributeRecorder(IngestSection.model_validate({"record": names}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), None),
        (("principal",), Attributes(principal="token:shed")),
        (("content_type",), Attributes("text/plain")),
        (("properties",), Attributes(properties=UNIT)),
        (
            ("properties", "principal", "content_type"),
            Attributes("text/plain", "token:shed", (), UNIT),
        ),
    ],
)
def test_what_the_setting_names_is_recorded_and_nothing_else(
    names: tuple[str, ...], expected: Attributes | None
) -> None:
    assert recorder(*names).record("token:shed", "text/plain", UNIT) == expected


def test_the_unit_that_sent_it_is_always_recorded() -> None:
    assert recorder().record("unit:u-1", "text/plain") == Attributes(principal="unit:u-1")


def test_a_message_without_any_has_none() -> None:
    assert recorder("content_type", "properties").record("token:shed") is None


def test_an_environment_variable_names_several() -> None:
    section = IngestSection.model_validate({"record": "principal, properties"})
    assert section.record == ("principal", "properties")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([("n", "v")] * (MOST_PROPERTIES + 3), MOST_PROPERTIES),
        ([("n", "é" * (MOST_PROPERTY_BYTES // 4))] * 3, 1),
        ([("n", "x" * MOST_PROPERTY_BYTES)], 0),
    ],
)
def test_properties_over_a_bound_are_left_out_and_it_is_told_how_many(
    given: list[tuple[str, str]], kept: int
) -> None:
    found = recorder("properties").record("token:shed", "", given)
    assert found is not None
    assert found.properties == tuple(given[:kept])
    assert found.decisions == ((LEFT_OUT, str(len(given) - kept)),)


def test_a_content_type_of_any_length_is_no_burden() -> None:
    assert recorder("content_type").record("", "x" * (LONGEST_CONTENT_TYPE + 1)) is None
