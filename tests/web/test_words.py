"""tools/words.py makes one catalog of each language out of the files of pages."""

import gettext
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "words.py"


def compile_words(folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    (folder / "locale" / "ru").mkdir(parents=True)
    for name, text in files.items():
        (folder / "locale" / "ru" / f"{name}.po").write_text(text)
    return subprocess.run(
        [sys.executable, TOOL, folder / "locale", folder / "made"], capture_output=True, text=True
    )


def test_several_files_become_one_with_plurals(tmp_path: Path) -> None:
    plurals = 'msgid "%(num)s row"\nmsgid_plural "%(num)s rows"\n' + "\n".join(
        f'msgstr[{n}] "%(num)s {word}"' for n, word in enumerate(("строка", "строки", "строк"))
    )
    done = compile_words(tmp_path, one='msgid "Topics"\nmsgstr "Топики"\n', two=plurals)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "made" / "ru.mo").open("rb") as made:
        words = gettext.GNUTranslations(made)
    assert words.gettext("Topics") == "Топики"
    assert [words.ngettext("%(num)s row", "%(num)s rows", n)[8:] for n in (1, 3, 5, 21)] == [
        "строка", "строки", "строк", "строка",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ('msgid "Topics"\nmsgstr "Топики"\n', 'msgid "Topics"\nmsgstr "Темы"\n', "another file"),
        ('msgid "%(n)s rows"\nmsgstr "%(m)s строк"\n', "", "has no ['m']"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, one: str, two: str, told: str) -> None:
    done = compile_words(tmp_path, one=one, two=two)
    assert done.returncode != 0
    assert told in done.stderr


def test_without_words_there_is_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, TOOL, tmp_path / "none", tmp_path / "made"])
    assert done.returncode == 0
    assert list((tmp_path / "made").iterdir()) == []
