"""Files of policies: every problem carries the line somebody has to go to."""

import json

import pytest

from lakebed.policies.document import read_file
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR

GOOD = """\
policies:
  - name: raw-day
    topics: ["plant/+/temperature"]   # a comment
    type: number
    keep: window
    for: 24h

  - {name: now, topics: [plant/#], type: number, keep: last_value, every: 10s,
     active: {from: 2026-01-01T00:00:00Z}}
"""


def problems(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(Invalid) as caught:
        read_file(text, "ann")
    return [(problem.line, problem.where, problem.what) for problem in caught.value.problems]


def test_a_list_under_policies_is_read() -> None:
    found = read_file(GOOD, "ann")
    assert [policy.name for policy in found.policies] == ["raw-day", "now"]
    assert found.policies[0].span == DAY
    assert found.policies[1].active_from == from_rfc3339("2026-01-01T00:00:00Z")
    assert {policy.owner for policy in found.policies} == {"ann"}
    # the documents can go to the API as they are, times as text
    assert json.loads(json.dumps(found.documents)) == found.documents
    assert found.documents[1]["active"] == {"from": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_as_well(indent: int | str | None) -> None:
    documents = read_file(GOOD, "ann").documents
    for root in ({"policies": documents}, documents):
        assert read_file(json.dumps(root, indent=indent), "ann").documents == documents
    assert read_file(json.dumps(documents[0], indent=indent), "ann").documents == documents[:1]


def test_anchors_may_be_used() -> None:
    text = GOOD.replace('["plant/+/temperature"]', '&t ["plant/+/temperature"]')
    text = text.replace("[plant/#]", "*t")
    assert read_file(text, "ann").policies[1].topics == ("plant/+/temperature",)


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "12:30", "2026-01-01", "1_000", "0777x"]
)
def test_words_that_older_yaml_turns_into_something_else_stay_text(word: str) -> None:
    text = f"{{name: it, topics: [a], type: text, keep: archive, filter: {{allow: [{word}]}}}}"
    assert read_file(text, "ann").policies[0].filter.allow == {word}


@pytest.mark.parametrize(
    ("written", "number"),
    [("1", 1), ("-2.5", -2.5), ("1e3", 1000), ("0x1F", 31), ("0o17", 15), ("010", 10), (".5", 0.5)],
)
def test_numbers_are_those_of_yaml_1_2(written: str, number: float) -> None:
    text = f"{{name: it, topics: [a], type: number, keep: archive, filter: {{min: {written}}}}}"
    assert read_file(text, "ann").policies[0].filter.min == number


def test_a_key_without_a_value_is_not_given() -> None:
    text = "name: it\ntopics: [a]\ntype: number\nkeep: aggregate\nevery: 1h\nat:\nfor: ~\n"
    policy = read_file(text, "ann").policies[0]
    assert (policy.every, policy.at, policy.span) == (HOUR, None, None)


def test_each_problem_names_its_line() -> None:
    text = """\
policies:
  - name: one
    topics:
      - a/b
      - a/#/b
    type: number
    keep: window
    filter:
      min: 3

      max: 2
  - topics: [a]
    type: number
    keep: last_value
    evry: 1s
"""
    assert [(line, where) for line, where, _ in problems(text)] == [
        (2, "policies[0].for"),  # missing: where the policy begins
        (5, "policies[0].topics[1]"),
        (11, "policies[0].filter.max"),
        (12, "policies[1].name"),
        (15, "policies[1].evry"),
    ]


BROKEN = [
    # (text, line, words)
    ("", 1, "nothing in it"),
    ("# only a comment\n", 1, "nothing in it"),
    ("policies:\n", 1, "write a list of policies"),
    ("policies: 5\n", 1, "write a list of policies"),
    ("just text\n", 1, "write a list of policies"),
    ("policies: []\nsources: []\n", 2, "no key `sources` beside `policies`"),
    ("policies:\n  - name: a\n   topics: [b]\n", 3, "not YAML"),
    ("name: [a\n", 2, "not YAML"),
    ('name: "a\n', 2, "not YAML"),
    ("name: a\ntopics: [b]\nname: c\n", 3, "this key stands in line 1 already"),
    ("name: *nobody\n", 1, "not YAML"),
    ("name: !!python/object:os.system a\n", 1, "tag"),
    ("? [a]\n: b\n", 1, "a key is text"),
    ("name: a\n---\nname: b\n", 2, "not YAML"),
    ("\n\n- 5\n", 3, "a policy is a mapping"),
    ("[" * 1000, 1, "nested more than 32 levels"),
    ("a: &a [*a]\n", 1, "nested more than 32 levels"),
    ("a: " + "9" * 5000 + "\n", 1, "is not of type int"),
    ("a\0b", None, "not YAML"),
]


@pytest.mark.parametrize(("text", "line", "words"), BROKEN)
def test_a_file_that_cannot_be_read_says_where(text: str, line: int | None, words: str) -> None:
    found = problems(text)
    assert found[0][0] == line
    assert words in found[0][2]


def test_a_name_used_twice_is_refused_with_both_lines() -> None:
    policy = "- {name: it, topics: [a], type: json, keep: archive}\n"
    assert problems(policy + policy) == [
        (2, "policies[1].name", "'it' is the name of the policy in line 1 already")
    ]


def test_aliases_cannot_blow_a_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "more than 500000 values" in problems("\n".join(lines))[0][2]


def test_a_file_too_long_is_not_even_read() -> None:
    assert "longer than" in problems("#" * (4 * 2**20 + 1))[0][2]
