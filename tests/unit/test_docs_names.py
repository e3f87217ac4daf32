"""DESIGN.md and CONTRIBUTING.md name files, modules and classes that exist."""

import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("DESIGN.md", "CONTRIBUTING.md")
FOLDERS = ("src", "web/src", "tests", "bench", "docs", "deploy", "tools")
MADE = {"admin.token", "lineage.json", "source-0.id", "uv.lock", ".tools"}
"""Files that the text tells of, and that are not in the repository."""

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_FILE = re.compile(r"\.(py|md|toml|lock|yaml|json|token|id)$")
_NAME = re.compile(r"([A-Z]\w*[a-z]\w*|[A-Z]{3,})(\.\w+)*")  # of a class or a constant
_BENCHMARK = re.compile(r"(?:python -m )?bench\.(\w+)")
_KEYWORDS = {"FINAL"}  # of SQL

FILES = [
    "/" + path.relative_to(ROOT).as_posix()
    for path in chain(
        ROOT.glob("*"),
        ROOT.glob(".ci/*"),
        ROOT.glob("web/*"),  # without what npm brings
        *(ROOT.glob(f"{f}/**/*") for f in FOLDERS),
    )
]
WORDS = {
    word
    for folder in ("src", "tests")
    for path in (ROOT / folder).rglob("*.py")
    for word in re.findall(r"\w+", path.read_text())
}


def named(page: str) -> list[str]:
    text = _FENCE.sub("", (ROOT / page).read_text())
    return sorted(set(re.findall(r"`([^`\n]+)`", text)) - MADE)


def is_file(text: str) -> bool:
    """Whether it names a file or a folder: `keeper/`, `keeper/shard.py`, `pacing.py`."""
    return bool(_PATH.fullmatch(text)) and ("/" in text or bool(_FILE.search(text)))


def exists(text: str) -> bool:
    """Whether a file ends like this: texts leave out the folders that are plain there, and
    `NAME` stands for any name."""
    end = re.compile("/" + re.escape(text.rstrip("/")).replace("NAME", r"[\w-]+") + "$")
    return any(end.search(file) for file in FILES)


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (page, text)
        for page in PAGES
        for text in named(page)
        if is_file(text) and not text.startswith(".venv/")
    ],
)
def test_a_file_that_the_text_names_exists(page: str, text: str) -> None:
    assert exists(text), page


@pytest.mark.parametrize(
    ("page", "text"),
    [(page, text) for page in PAGES for text in named(page)
     if _NAME.fullmatch(text) and not _FILE.search(text) and text not in _KEYWORDS],
)  # fmt: skip
def test_a_class_or_constant_that_the_text_names_exists(page: str, text: str) -> None:
    assert set(text.split(".")) <= WORDS, page


def test_a_benchmark_that_the_text_names_exists() -> None:
    found = [name for page in PAGES for text in named(page) for name in _BENCHMARK.findall(text)]
    assert found
    assert all((ROOT / "bench" / f"{name}.py").exists() for name in found)


def test_a_name_that_does_not_exist_is_found() -> None:
    """The tests above see what they should."""
    assert is_file("keeper/adopting.py")
    assert not exists("keeper/adopting.py")
    assert "No" + "SuchThing" not in WORDS
