"""Compiles the words of pages: locale/LANGUAGE/*.po become INTO/LANGUAGE.mo.

Sentences of other layers (context "sentence"), which are found by their pattern, become
INTO/LANGUAGE.sentences.json (`web/sentences.py`).

    tools/words.py LOCALE INTO

A page or an area has a file of its own, so the same text may be in several; the first translation
counts, and a test (tests/web/test_words.py) fails if another one differs.
"""

import json
import re
import sys
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

SENTENCE = "sentence"
_VALUE = re.compile(r"%\((\w+)\)")


def compile_language(folder: Path) -> Catalog:
    """One catalog out of all files of a language.

    Raises:
        ValueError: a file is not well-formed, or a translation has values that its text has not.
    """
    whole = Catalog(locale=folder.name)
    for file in sorted(folder.glob("*.po")):
        with file.open("rb") as opened:
            for message in read_po(opened, locale=folder.name, abort_invalid=True):
                if message.id and message.string:
                    _check_values(message, file)
                    if message_of(whole, message) is None:
                        whole.add(message.id, message.string, context=message.context)
    return whole


def _check_values(message: Message, file: Path) -> None:
    """A translation has the values of its text, such as `%(num)s`, or it breaks the page."""
    texts, translations = (
        [each] if isinstance(each, str) else each for each in (message.id, message.string)
    )
    known = {name for text in texts for name in _VALUE.findall(text)}
    for translation in translations:
        if strange := set(_VALUE.findall(translation)) - known:
            raise ValueError(f"{file}:{message.lineno}: {texts[0]!r} has no {sorted(strange)}")


def message_of(catalog: Catalog, like: Message) -> Message | None:
    """The message of a catalog that has the same text."""
    key = like.id if isinstance(like.id, str) else like.id[0]
    return catalog.get(key, like.context)


def main(locale: Path, into: Path) -> None:
    into.mkdir(parents=True)
    for folder in sorted(path for path in locale.glob("*") if path.is_dir()):
        whole = compile_language(folder)
        sentences = {one.id: one.string for one in whole if one.context == SENTENCE}
        for text in sentences:
            whole.delete(text, SENTENCE)
        text = json.dumps(sentences, ensure_ascii=False, indent=0)
        (into / f"{folder.name}.sentences.json").write_text(text, "utf-8")
        with (into / f"{folder.name}.mo").open("wb") as made:
            write_mo(made, whole)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
