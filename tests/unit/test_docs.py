"""The reference says what the code does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lakebed.runtime.settings import Settings
from lakebed.section import Duration, Size
from lakebed.sources.settings import Source
from lakebed.vocabulary.times import format_duration

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
_SCALARS = [
    (get_args(Duration)[1], format_duration),
    (get_args(Size)[1], lambda size: _size(size)),
]


def sections() -> Iterator[tuple[str, str]]:
    """Heading and table row of every setting."""
    for name, field in Settings.model_fields.items():
        if name == "sources":
            yield from of_sources()
            continue
        model = _model(field)
        if model is None:
            yield "home", _row(name, field)
        else:
            for key, below in model.model_fields.items():
                yield f"[{name}]", _row(key, below)


def of_sources() -> Iterator[tuple[str, str]]:
    """Heading and row of each key of a kind of source."""
    for kind in get_args(get_args(Source)[0]):
        model = get_args(kind)[0]
        name = model.model_fields["kind"].default
        heading = "[[sources]]" if name == "mqtt" else f"[[sources]]: {name}"
        for key, below in model.model_fields.items():
            yield heading, _row(key, below)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _row(key: str, field: FieldInfo) -> str:
    return f"| `{key}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    if field.default == ():
        return "`[]`"
    if isinstance(field.default, tuple):
        return f"`{json.dumps(field.default)}`"
    for marker, written in _SCALARS:
        if marker in field.metadata:
            return f"`{written(field.default)}`"
    if isinstance(field.default, bool):  # as TOML writes it
        return f"`{field.default}`".lower()
    return f"`{field.default}`"


def _size(size: int) -> str:
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % 2**power == 0:
            return f"{size >> power}{unit}"
    return f"{size}B"


def _tables(page: str) -> dict[str, list[str]]:
    """The rows that begin with a key, by the heading they stand under."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip("` ")
        elif line.startswith("| `"):
            found.setdefault(heading, []).append(line)
    return found


@pytest.fixture(scope="module")
def settings_page() -> str:
    return (REFERENCE / "settings.md").read_text(encoding="utf-8")


def test_the_reference_holds_every_setting_with_its_default_and_no_other(
    settings_page: str,
) -> None:
    expected: dict[str, list[str]] = {}
    for heading, row in sections():
        expected.setdefault(heading, []).append(row)
    assert _tables(settings_page) == expected


def test_every_setting_is_described() -> None:
    undescribed: list[Any] = [row for _, row in sections() if "None |" in row]
    assert undescribed == []
