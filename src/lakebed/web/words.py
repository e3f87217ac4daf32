"""Languages: which one a request wants, and the words of it (gettext).

Source texts are English. `locale/LANGUAGE/*.po` hold the others, and `tools/web` compiles them into
one file per language in `dist/locale`.
"""

from functools import cache
from gettext import GNUTranslations, NullTranslations

from fastapi import Request

from lakebed.web import assets

LANGUAGES = {"en": "English", "ru": "Русский"}
"""What people may choose, each by its own name."""

COOKIE = "lakebed-language"


def mark(text: str) -> str:
    """Mark a text for translation where it stands, to be translated when it is shown."""
    return text


@cache
def translations(language: str) -> NullTranslations:
    """The words of a language; English ones where there are none."""
    file = assets.DIST / "locale" / f"{language}.mo"
    if language == "en" or not file.exists():
        return NullTranslations()
    with file.open("rb") as opened:
        return GNUTranslations(opened)


def language_of(request: Request) -> str:
    """The language that was chosen here, else the first of the browser's that we have."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return preferred(request.headers.get("accept-language", ""))


def preferred(header: str) -> str:
    """The best of our languages for an `Accept-Language` header (RFC 9110, section 12.5.4)."""
    found: list[tuple[float, str]] = []
    for one in header[:500].split(","):
        tag, _, quality = one.partition(";")
        language = tag.strip().lower().split("-")[0]
        if language in LANGUAGES:
            found.append((_quality(quality), language))
    best = max(found, key=lambda pair: pair[0], default=(0.0, "en"))
    return best[1] if best[0] > 0 else "en"


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
