"""Words of pages and their translations.

`python -m tests.web.words [PART OF A FILE'S NAME …]` prints what is missing, ready to be filled in
and put into `src/lakebed/web/locale/ru/NAME.po`.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

WEB = Path(__file__).parents[2] / "src" / "lakebed" / "web"
LANGUAGES = ("ru",)
_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
_OPTIONS = {"templates/**.html": {"newstyle_gettext": "true"}}
_NAMES = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "mark": None,
    "word": None,
    "words": (1, 2),
}


def used() -> Iterator[tuple[str, Message]]:
    """Every text that pages show, with the file that it is in."""
    found = extract_from_dir(WEB, _METHODS, _OPTIONS, keywords=_NAMES)
    for file, line, text, _, context in found:
        yield file, Message(text, locations=[(file, line)], context=context)


def translated(language: str) -> Iterator[tuple[Path, Message]]:
    """Every translation, with the file that it is in."""
    for file in sorted((WEB / "locale" / language).glob("*.po")):
        with file.open("rb") as opened:
            for message in read_po(opened, locale=language):
                if message.id and not message.fuzzy and all(_strings(message)):
                    yield file, message


def missing(language: str) -> dict[str, list[Message]]:
    """Texts without a translation, by the file that they are in."""
    known = {key(message) for _, message in translated(language)}
    found: dict[str, list[Message]] = defaultdict(list)
    for file, message in used():
        if key(message) not in known:
            known.add(key(message))
            found[file].append(message)
    return found


def key(message: Message) -> tuple[object, str | None]:
    return message.id, message.context


def _strings(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or [""])


def main(wanted: list[str]) -> None:
    for language in LANGUAGES:
        catalog = Catalog(locale=language)
        for file, messages in missing(language).items():
            if not wanted or any(part in file for part in wanted):
                for message in messages:
                    catalog.add(message.id, locations=message.locations, context=message.context)
        write_po(sys.stdout.buffer, catalog, omit_header=True, width=100)


if __name__ == "__main__":
    main(sys.argv[1:])
