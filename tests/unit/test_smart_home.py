"""What the page on devices advises is what the cases of these devices try."""

import re
from pathlib import Path

import pytest
from tests.cases import reference

from lakebed.policies.document import read_file

PAGE = Path(__file__).parents[2] / "docs/howto/smart-home.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
CASES = [case for case in reference.folders() if case.name.startswith("devices-")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_policies_of_the_page_are_those_of_the_case(case: Path) -> None:
    text = (case / "policy.yaml").read_text(encoding="utf-8")
    comment, _, policies = text.partition("\n")
    assert comment.startswith("#")
    assert policies in BLOCKS
    assert read_file(policies, "anna").policies


def test_every_block_of_the_page_has_a_case() -> None:
    assert len(BLOCKS) == len(CASES)
