"""Templates: one Jinja2 environment per language, and the filters that all of them use."""

import math
import re
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakebed.vocabulary.times import Micros, to_rfc3339
from lakebed.web import assets, sentences
from lakebed.web.words import LANGUAGES, translations

_SCRIPT = Markup('<script type="module" src="{}"></script>')
_EXACT = Markup('<time datetime="{}" data-exact>{}</time>')
_TIME = Markup('<time datetime="{}">{}</time>')  # both are escaped when it is formatted
# what changes how a text is read, or is not seen; values and what can be edited stay as they are
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_SHOWN = re.compile(r"<(textarea|script)\b.*?</\1>|>[^<]+", re.DOTALL)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def render(template: str, language: str, **values: Any) -> str:
    """The text of a template in a language; hidden characters of texts are shown in it."""
    html = _environment(language).get_template(template).render(**values)
    return _SHOWN.sub(_show, html) if _HIDDEN.search(html) else html


def _show(part: re.Match[str]) -> str:
    return part[0] if part[1] else _HIDDEN.sub(lambda found: _escape(found[0]), part[0])


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"


@cache
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("lakebed.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(  # type: ignore[attr-defined]
        translations(language), newstyle=True
    )
    environment.filters |= {
        "number": number,
        "size": size,
        "figure": figure,
        "share": share,
        "when": when,
        "exact": exact,
        "moment": moment_of,
        "mark": visible,
        "yaml": as_yaml,
        "told": sentences.teller(language),
    }
    environment.globals |= {
        "script": script,
        "asset": assets.address,
        "languages": LANGUAGES,
        "language": language,
    }
    return environment


def script(name: str) -> Markup:
    """The element that loads a bundle; nothing where it was not built."""
    address = assets.address(f"{name}.js")
    return Markup() if address is None else _SCRIPT.format(address)


def number(value: float) -> str:
    """A number as people read it: 1 234 567, 0.25, with thin spaces between thousands."""
    if isinstance(value, float) and not value.is_integer():
        shown = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    else:
        shown = f"{int(value):,}"
    return shown.replace(",", "\N{NARROW NO-BREAK SPACE}")


def figure(value: float) -> str:
    """A measured value with six digits: 21.375, 1e-07, 1 234 567."""
    if abs(value) >= 1e15 or not math.isfinite(value):
        return f"{value:.6g}"
    if abs(value) >= 100_000 or value == int(value):
        return number(round(value))
    return f"{value:.6g}"


def size(value: float) -> str:
    """Bytes: 512 B, 1.5 KiB."""
    amount = float(value)
    for unit in _UNITS:
        if abs(amount) < 1024 or unit == _UNITS[-1]:
            break
        amount /= 1024
    shown = f"{amount:.0f}" if unit == "B" or amount >= 100 else f"{amount:.1f}"
    return f"{shown}\N{NO-BREAK SPACE}{unit}"


def share(percent: float) -> str:
    """A part of the whole: 12 %, 0.3 %, and never 0 or 100 where it is not."""
    if 0 < percent < 0.1:
        return "< 0.1\N{NO-BREAK SPACE}%"
    digits = 0 if percent in (0, 100) or 10 <= percent < 99 else 1
    shown = min(round(percent, digits), 99.9) if percent < 100 else percent
    return f"{shown:.{digits}f}\N{NO-BREAK SPACE}%"


def when(moment: Micros | str | None) -> Markup:
    """A time, absolute in UTC; a script shows it relative to now, in the reader's own zone."""
    if moment is None or moment == "":
        return Markup("–")
    exact = moment_of(moment)
    shown = exact[:19].replace("T", " ")
    return _TIME.format(exact, shown)


def moment_of(moment: Micros | str) -> str:
    """A time for a script: RFC 3339."""
    return moment if isinstance(moment, str) else to_rfc3339(moment)


def exact(moment: Micros | str | None) -> Markup:
    """A time that is not told relative to now, such as the bounds of a range."""
    if moment is None or moment == "":
        return Markup("–")
    text = moment_of(moment)
    return _EXACT.format(text, text[:16].replace("T", " "))


def visible(text: str) -> str:
    """A text of others with its invisible characters shown, so that it cannot pose as another."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character)
        for character in text
    )


def as_yaml(document: Any) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=88)
    return text
