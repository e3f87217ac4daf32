"""Sections of a document: each checks its own entries, and all problems are told at once."""

import pytest

from lakebed.documents.sections import DocumentSection, read_document
from lakebed.documents.source import Path
from lakebed.vocabulary.errors import Invalid


def named(entry: object) -> list[tuple[Path, str]]:
    return [] if isinstance(entry, dict) and "name" in entry else [((), "it needs a name")]


SECTIONS = (
    DocumentSection("policies", "policy", named),
    DocumentSection("shares", "share", named),
)


def problems(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(Invalid) as caught:
        read_document(text, SECTIONS)
    return [(problem.line, problem.where, problem.what) for problem in caught.value.problems]


def test_sections_are_read_by_their_names() -> None:
    found = read_document("shares:\n  - name: roof\npolicies:\n  - {name: a}\n", SECTIONS)
    assert found == {"shares": [{"name": "roof"}], "policies": [{"name": "a"}]}
    assert read_document("shares: []\n", SECTIONS) == {"shares": []}


@pytest.mark.parametrize("text", ["- name: a\n", "name: a\n"])
def test_what_has_no_sections_is_of_the_first(text: str) -> None:
    assert read_document(text, SECTIONS) == {"policies": [{"name": "a"}]}


def test_problems_of_all_sections_are_told_in_the_order_of_the_file() -> None:
    text = "shares:\n  - {with: x}\npolicies:\n  - {topics: []}\n  - name: a\n  - name: a\n"
    assert problems(text) == [
        (2, "shares[0]", "it needs a name"),
        (4, "policies[0]", "it needs a name"),
        (6, "policies[2].name", "'a' is the name of the policy in line 5 already"),
    ]


def test_the_same_name_may_be_used_in_two_sections() -> None:
    assert len(read_document("shares: [{name: a}]\npolicies: [{name: a}]\n", SECTIONS)) == 2


def test_a_key_that_is_no_section_is_refused_beside_one() -> None:
    assert problems("shares: []\nboards: []\n") == [
        (2, "boards", "there is no key `boards` beside `shares`")
    ]


def test_a_section_is_a_list() -> None:
    assert problems("shares: 5\n") == [
        (1, "shares", "write a list of shares, each beginning with `-`")
    ]
