"""The text of a tile as blocks: a few marks mean something, and all else is text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.boards.prose import Span, blocks, spans


def test_headings_lists_and_paragraphs() -> None:
    found = blocks("# Where\nIn the cellar,\nbelow.\n\n- one\n- two\n\n# Why\nSo.")
    assert [(block.kind, ["".join(s.text for s in line) for line in block.lines])
            for block in found] == [
        ("heading", ["Where"]),
        ("paragraph", ["In the cellar,", "below."]),
        ("list", ["one", "two"]),
        ("heading", ["Why"]),
        ("paragraph", ["So."]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a **b** c", [("", "a "), ("strong", "b"), ("", " c")]),
        ("*a*`b`", [("em", "a"), ("code", "b")]),
        ("2 * 3 ** 4", [("", "2 "), ("em", " 3 "), ("", "* 4")]),
        ("**a", [("", "**a")]),
        ("<b>[x](javascript:alert(1))</b>", [("", "<b>[x](javascript:alert(1))</b>")]),
        ("`<script>`", [("code", "<script>")]),
        ("", []),
    ],
)
def test_spans(line: str, found: list[tuple[str, str]]) -> None:
    assert spans(line) == [Span(*one) for one in found]


@given(st.text(alphabet="*`a \n#-<", max_size=60))
def test_nothing_of_a_text_is_lost_but_its_marks(text: str) -> None:
    shown = "".join(s.text for block in blocks(text) for line in block.lines for s in line)
    assert shown.count("a") == text.count("a")
    assert shown.count("<") == text.count("<")
