"""Which attributes are recorded with a message, and how many."""

import pytest

from lakebed.ingest.recording import (
    LEFT_OUT,
    LONGEST_CONTENT_TYPE,
    MOST_PROPERTIES,
    MOST_PROPERTY_BYTES,
    AttributeRecorder,
    beside,
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
    assert recorder(*names).of("ann").record("token:shed", "text/plain", UNIT) == expected


def test_the_unit_that_sent_it_is_always_recorded() -> None:
    assert recorder().of("ann").record("unit:u-1", "text/plain") == Attributes(principal="unit:u-1")


def test_a_message_without_any_has_none() -> None:
    assert recorder("content_type", "properties").of("ann").record("token:shed") is None


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
    found = recorder("properties").of("ann").record("token:shed", "", given)
    assert found is not None
    assert found.properties == tuple(given[:kept])
    assert found.decisions == ((LEFT_OUT, str(len(given) - kept)),)


def test_a_content_type_of_any_length_is_no_burden() -> None:
    assert recorder("content_type").of("ann").record("", "x" * (LONGEST_CONTENT_TYPE + 1)) is None


ASKED = frozenset(
    ("client", "qos", "retain", "response_topic", "correlation_data", "properties.site")
)
REQUEST = {"response_topic": "answers/7", "correlation_data": b"\x00\xff"}
PROPERTIES = [("site", "north"), ("unit", "K")]


def test_what_policies_ask_for_is_recorded_with_messages_of_their_owner_alone() -> None:
    made = recorder()
    made.ask({"ann": ASKED})
    found = made.of("ann").record("token:shed", "text/plain", PROPERTIES, "shed-1", REQUEST)
    assert found == Attributes(
        decisions=(
            ("client", "shed-1"),
            ("response_topic", "answers/7"),
            ("correlation_data", "AP8="),
        ),
        properties=(("site", "north"),),
    )
    for other in (made.of("bob"), recorder().of("ann")):
        assert other.record("token:shed", "text/plain", PROPERTIES, "shed-1", REQUEST) is None
        flags = other.reads_messages, other.reads_flags, other.reads_retain
        assert flags == (False, False, False)
    everyone = made.of_all().record("token:shed", "text/plain", PROPERTIES, "shed-1", REQUEST)
    assert everyone == found


def test_flags_are_beside_what_a_message_has_of_its_own() -> None:
    made = recorder()
    made.ask({"ann": ASKED})
    recording = made.of("ann")
    sender = recording.flagged(recording.record("token:shed", client="c"), 1, True)
    assert sender == Attributes(decisions=(("client", "c"), ("qos", "1"), ("retain", "1")))
    own = recording.record("token:shed", "", PROPERTIES, "c")
    assert own is not None
    assert beside(own, sender).decisions == (("qos", "1"), ("retain", "1"), ("client", "c"))
    assert recorder().of("ann").flagged(None, 1, True) is None


def test_what_is_too_long_is_not_recorded() -> None:
    made = recorder()
    made.ask({"ann": ASKED})
    request = {"response_topic": "x" * 1025, "correlation_data": b"x" * 1025}
    assert made.of("ann").record("", "", (), "é" * 513, request) is None


def test_other_policies_change_the_version_and_not_the_recordings_of_others() -> None:
    made = recorder()
    made.ask({"ann": ASKED})
    before, version = made.of("ann"), made.version
    made.ask({"ann": ASKED})
    assert made.version == version
    made.ask({"ann": ASKED, "bob": frozenset({"qos"})})
    assert made.version > version
    assert made.of("ann") is before
