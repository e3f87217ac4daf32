"""tools/words.py makes one catalog of each language out of the files of pages."""

import gettext
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web import words

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


def test_a_value_that_the_text_has_not_is_refused(tmp_path: Path) -> None:
    done = compile_words(tmp_path, one='msgid "%(n)s rows"\nmsgstr "%(m)s строк"\n')
    assert done.returncode != 0
    assert "has no ['m']" in done.stderr


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_text_is_translated(language: str) -> None:
    found = {file: [m.id for m in messages] for file, messages in words.missing(language).items()}
    assert found == {}, "python -m tests.web.words prints them, ready to be filled in"


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_text_is_translated_the_same_everywhere(language: str) -> None:
    known: dict[object, tuple[Path, object]] = {}
    for file, message in words.translated(language):
        other, text = known.setdefault(words.key(message), (file, message.string))
        assert message.string == text, f"{message.id!r} in {other.name} and {file.name}"


def test_without_words_there_is_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, TOOL, tmp_path / "none", tmp_path / "made"])
    assert done.returncode == 0
    assert list((tmp_path / "made").iterdir()) == []
