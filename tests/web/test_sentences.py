"""Sentences of other layers are translated where pages show them, and stay English elsewhere."""

import ast
import re
from collections.abc import Iterator

import pytest
from babel.messages.pofile import read_po

from lakebed.boards.made import NAMES, made
from lakebed.web.sentences import told
from lakebed.web.words import translations
from tests.web.words import WEB

SOURCE = WEB.parent
SHOWN = (
    "access",
    "accounts",
    "api",
    "boards",
    "documents",
    "kinds",
    "policies",
    "vocabulary",
    "web",
)
"""Packages whose mistakes people make on pages."""

ELSEWHERE = re.compile(
    r"settings\.py|access/identification|web/(hub|known|streams|assets|pictures)"
    r"|vocabulary/(errors|times|owner_topics|owners|unit_topics|topic_templates|time_parsing)"
    r"|api/(emqx|openid|app|formats|origins|openapi|pages|preconditions|requests|watch)"
    r"|api/routes/(openid|audit|ledger|journal|apply|reading|parked|invitation_page|tap|series)"
    r"|api/routes/(factors|invitations|administration|units)"
)
"""Modules of which only programs hear."""

ERRORS = {
    "BadRequest", "Conflict", "NotFound", "Denied", "Problem", "Unauthenticated", "ValueError",
}  # fmt: skip


def template(node: ast.expr) -> str:
    """A text of the source with `{}` for its values; empty where it is none."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(template(one) or "{}" for one in values)
    return ""


def texts(node: ast.AST) -> Iterator[str]:
    for inside in ast.walk(node):
        if isinstance(inside, ast.Constant | ast.JoinedStr) and (text := template(inside)):
            yield text


def raised(tree: ast.AST) -> Iterator[str]:
    """What is told by errors and by mistakes of documents."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", "")
            if name in ERRORS and node.args:
                yield template(node.args[name in ("BadRequest", "Problem") and len(node.args) > 1])
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            yield template(node.value.elts[-1])


def trees() -> Iterator[tuple[str, ast.AST]]:
    for file in sorted(SOURCE.rglob("*.py")):
        yield str(file.relative_to(SOURCE)), ast.parse(file.read_text())


@pytest.fixture(scope="module")
def translated() -> set[str]:
    with (WEB / "locale" / "ru" / "sentences.po").open("rb") as file:
        return {str(message.id) for message in read_po(file, locale="ru") if message.id}


def test_each_translation_is_of_a_sentence_that_is_there(translated: set[str]) -> None:
    there = {text for _, tree in trees() for text in texts(tree)}
    assert translated - there == set()


def test_each_mistake_that_people_make_on_pages_is_translated(translated: set[str]) -> None:
    missing = {
        (file, text)
        for file, tree in trees()
        if file.startswith(SHOWN) and not ELSEWHERE.search(file)
        for text in raised(tree)
        if " " in text.replace("{}", "").strip() and text not in translated
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("text", "russian"),
    [
        (
            "relays/x needs the secret 'a' of 'ann', which is missing: write it with"
            " `lakebed secrets put a`",
            "relays/x: нужен секрет 'a' владельца 'ann', которого нет: запишите его командой"
            " `lakebed secrets put a`",
        ),
        ("there is no user 'eve'", "нет пользователя 'eve'"),
        ("name: it must not be empty", "name: не должно быть пустым"),
        ("line 3: every: 'x' is not a number", "line 3: every: 'x' — не число"),
        ("'no' is no name: it is 1 to 64 letters, digits, and . _ - @ behind the first",
         "'no' — не имя: это от 1 до 64 латинских букв и цифр, а после первой также . _ - @"),
        ("this is for admins; it lies in the past", "это для администраторов; это в прошлом"),
        ("there is no user {0} {1}", "нет пользователя {0} {1}"),  # values are no patterns
        ("of somebody else", "of somebody else"),
        ("", ""),
    ],
)  # fmt: skip
def test_sentences_are_found_by_their_pattern(text: str, russian: str) -> None:
    assert told("ru", text) == russian
    assert told("en", text) == text


def test_made_boards_are_translated() -> None:
    russian = translations("ru")
    for name in NAMES:
        board = made(name) or {}
        for one in (board, *board["tiles"]):
            for text in (one[key] for key in ("title", "text") if key in one):
                assert text == "unit" or russian.gettext(text) != text
