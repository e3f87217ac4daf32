"""The reference names everything there is; its examples are right; its links lead somewhere."""

import re
import shlex
import tomllib
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import click
import msgspec
import pytest
import typer

from lakebed.api.app import create_app
from lakebed.boards import documents as boards
from lakebed.boards import tiles
from lakebed.cli.exits import Exit
from lakebed.cli.main import app
from lakebed.documents.sections import read_entries
from lakebed.kinds import KINDS, aggregate
from lakebed.kinds.aggregate import sketch
from lakebed.kinds.aggregate.texts import CAPACITY
from lakebed.kinds.tables import TYPES
from lakebed.policies import schema
from lakebed.policies.document import keys_of, read_file
from lakebed.policies.outcomes import UNFILTERED, Outcome
from lakebed.relays import documents as relays
from lakebed.relays import targets, templates
from lakebed.runtime.settings import Settings
from lakebed.sources.mqtt.codec.reasons import Reason
from lakebed.vocabulary.errors import Invalid

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Snippet(NamedTuple):
    page: Path
    language: str
    text: str


def snippets(*languages: str) -> list[Snippet]:
    return [
        Snippet(page, language, text)
        for page in PAGES
        for language, text in _FENCE.findall(page.read_text())
        if language in languages
    ]


def prose(page: Path) -> str:
    """The page without its snippets."""
    return _FENCE.sub("", page.read_text())


@cache
def sections(page: Path) -> dict[str, str]:
    """The text below each heading, up to the next one of any level."""
    parts = _HEADING.split(prose(page))
    return dict(zip(parts[2::3], parts[3::3], strict=True))


def rows(text: str) -> dict[str, str]:
    """Rows of tables by each of the names in their first cell."""
    found = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                found[name] = line
    return found


# --- commands -------------------------------------------------------------------------------------


@cache
def commands() -> dict[str, click.Command]:
    """Every command by its full name, groups left out."""
    root = typer.main.get_command(app)
    found: dict[str, click.Command] = {}

    def walk(name: str, command: Any) -> None:
        for below, sub in getattr(command, "commands", {}).items():
            if not sub.hidden:  # another name of one that is told
                walk(f"{name} {below}", sub)
        if not hasattr(command, "commands"):
            found[name] = command

    walk("lakebed", root)
    return found


def flags(command: Any) -> set[str]:
    """What a command may be given, `--help` apart."""
    return {o for p in command.params for o in p.opts if o.startswith("-")} - {"--help", "-h"}


@pytest.mark.parametrize("name", list(commands()))
def test_a_command_stands_in_the_reference_with_its_flags_and_no_others(name: str) -> None:
    text = sections(REFERENCE / "commands.md")[name]
    assert set(rows(text)) == flags(commands()[name])


def test_the_program_s_own_flags_stand_in_the_reference() -> None:
    named = set(rows(sections(REFERENCE / "commands.md")["lakebed"]))
    assert named == flags(typer.main.get_command(app)) | {"--help", "-h"}


@pytest.mark.parametrize("code", Exit)
def test_an_exit_code_stands_in_the_reference(code: Exit) -> None:
    assert f"\n| {int(code)} |" in sections(REFERENCE / "commands.md")["Exit codes"]


def calls() -> Iterator[tuple[str, str]]:
    """Each call of `lakebed` in a snippet of shell, with its page."""
    for page, _, text in snippets("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            for call in re.findall(r"(?:^|[|;] *|do |.venv/bin/)(lakebed [^|;]*)", line):
                yield page.name, call


@pytest.mark.parametrize(("page", "call"), list(calls()))
def test_commands_in_snippets_exist_with_the_flags_they_are_given(page: str, call: str) -> None:
    words = shlex.split(re.sub(r'"\$\([^)]*\)"', "TOKEN", call), comments=True)
    known = commands()
    name = next(n for n in (" ".join(words[:n]) for n in (4, 3, 2)) if n in known)
    for word in words[len(name.split()) :]:
        if word == "--":
            break
        flag = word.partition("=")[0]
        if re.match(r"--?[a-z]", flag) and not re.fullmatch(r"-\d+\w*", word):
            assert flag in flags(known[name]) | {"--help"}, call


# --- routes ---------------------------------------------------------------------------------------


def openapi() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of FastAPI, about HEAD beside GET
        document: dict[str, Any] = create_app(Mock(settings=Settings())).control.openapi()
    return document


def operations() -> Iterator[Any]:
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            if method != "head":
                names = {parameter["name"] for parameter in operation.get("parameters", [])}
                yield pytest.param(f"{method.upper()} {path}", names, id=f"{method} {path}")


@pytest.mark.parametrize(("route", "parameters"), list(operations()))
def test_a_route_stands_in_the_reference_with_its_parameters(
    route: str, parameters: set[str]
) -> None:
    found = sections(REFERENCE / "http.md")
    named = set(rows(found[route]))
    if re.search("/(policies|units|shares|boards|relays)", route) or "`owner`" in found[route]:
        named.add("owner")  # said once for all of them
    assert parameters <= named


def test_the_reference_names_no_routes_that_are_not_there() -> None:
    there = {parameters.values[0] for parameters in operations()}
    named = {h for h in sections(REFERENCE / "http.md") if re.match(r"[A-Z]+ /", h)}
    assert named == there


# --- boards ---------------------------------------------------------------------------------------


def test_the_fields_of_a_board_and_of_tiles_stand_in_the_reference_and_no_others() -> None:
    found = sections(REFERENCE / "boards.md")
    assert set(rows(found["Boards"])) == set(boards.KEYS)
    kinds = rows(found["Tiles"])
    keys = {key for kind in tiles.KINDS.values() for key in (*kind.needs, *kind.may)}
    assert set(kinds) == set(tiles.KINDS)
    assert set(rows(found["Keys of tiles"])) == keys
    for name, kind in tiles.KINDS.items():
        told = [re.findall("`(.*?)`", cell) for cell in kinds[name].split("|")[3:5]]
        assert told == [list(kind.needs), list(kind.may)]


def test_examples_of_boards_are_right() -> None:
    found = [s for s in snippets("yaml") if s.text.startswith("boards:")]
    assert len(found) > 1
    for snippet in found:
        read_entries(snippet.text, [boards.section()])


# --- relays ---------------------------------------------------------------------------------------


def test_keys_of_relays_and_words_of_templates_stand_in_the_reference() -> None:
    text = (REFERENCE / "relays.md").read_text()
    for word in (*relays.KEYS, *relays.WHATS, *templates.FIELDS):
        assert f"`{word}`" in text, word
    for function in templates.FUNCTIONS:
        assert re.search(rf"`{function}[`:]", text), function
    for target in targets.kinds():
        for key in (target, *targets.kind(target).keys):
            assert f"`{key}`" in text, f"{target}: {key}"


def test_examples_of_relays_are_right() -> None:
    found = [s for s in snippets("yaml") if s.text.startswith("relays:")]
    assert len(found) > 1
    for snippet in found:
        read_entries(snippet.text, [relays.section()])


# --- access ---------------------------------------------------------------------------------------


def test_the_table_of_actions_in_the_reference_is_the_one_that_is_tested() -> None:
    matrix = (ROOT / "tests/unit/access/matrix.md").read_text()
    assert matrix in (REFERENCE / "access.md").read_text()


# --- policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Fields", schema.document_model(tuple(KINDS))),
        ("Filter", schema.FilterDocument),
        ("Transform", schema.TransformDocument),
    ],
)
def test_the_fields_of_a_policy_stand_in_the_reference_and_no_others(
    heading: str, model: Any
) -> None:
    assert set(rows(sections(REFERENCE / "policies.md")[heading])) == set(keys_of(model))


def test_the_forms_of_active_stand_in_the_reference() -> None:
    text = rows(sections(REFERENCE / "policies.md")["Fields"])["active"]
    assert all(f"`{key}`" in text for key in keys_of(schema.ActiveDocument))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_stands_in_the_reference(kind: str) -> None:
    found = sections(REFERENCE / "policies.md")
    assert kind in found
    assert kind in rows(found["Kinds"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type", TYPES)
def test_the_matrix_of_types_and_kinds_is_that_of_the_checks(kind: str, type: str) -> None:
    row = rows(sections(REFERENCE / "policies.md")["Kinds"])[kind]
    said = dict(
        zip(TYPES, [cell.strip() for cell in row.split("|")[3 : 3 + len(TYPES)]], strict=True)
    )
    document: dict[str, Any] = {"name": "p", "topics": ["t"], "type": type, "keep": kind}
    document |= {"window": {"for": "1h"}, "aggregate": {"every": "1m"}, "last_n": {"count": 1}}.get(
        kind, {}
    )
    allowed = _is_right(msgspec.json.encode(document).decode())
    assert said[type] == ("yes" if allowed else "no")


def _is_right(text: str) -> bool:
    try:
        read_file(text, "ann")
    except Invalid:
        return False
    return True


@pytest.mark.parametrize("type", TYPES)
def test_a_type_stands_in_the_reference(type: str) -> None:
    assert type in rows(sections(REFERENCE / "policies.md")["Types"])


def test_the_functions_of_aggregates_stand_in_the_reference() -> None:
    named = set(rows(sections(REFERENCE / "policies.md")["aggregate"]))
    assert named == {name for names in aggregate.KIND.functions.values() for name in names}


def test_the_limits_of_sketches_in_the_reference_are_those_of_the_code() -> None:
    text = sections(REFERENCE / "policies.md")["aggregate"]
    assert f"exact up to {sketch.K:,} in" in text
    assert f"no more than {CAPACITY:,} different" in text
    assert f"to within {sketch.ALPHA * 100:g} % of" in text


def test_outcomes_stand_in_the_reference_in_their_order_and_where_they_are_counted() -> None:
    found = rows(sections(REFERENCE / "policies.md")["Outcomes"])
    assert list(found) == [outcome.reason for outcome in sorted(Outcome)]
    for outcome in Outcome:
        field = outcome.reason if outcome in UNFILTERED else "filtered"
        assert found[outcome.reason].split("|")[2].strip() == f"`{field}`"


# --- MQTT -----------------------------------------------------------------------------------------


def test_reason_codes_in_the_reference_have_the_names_of_the_specification() -> None:
    table = re.findall(r"^\| (0x..) \| ([a-z ]+) \|", prose(REFERENCE / "mqtt.md"), re.MULTILINE)
    assert table
    for code, name in table:
        assert Reason(int(code, 16)).name == name.upper().replace(" ", "_")


def test_reason_codes_that_are_sent_stand_in_the_reference() -> None:
    text = prose(REFERENCE / "mqtt.md")
    sources = (ROOT / "src/lakebed/sources/mqtt").rglob("*.py")
    sent = {n for file in sources for n in re.findall(r"\bReason\.([A-Z_]+)\b", file.read_text())}
    sent -= {"SUCCESS", "DISCONNECT_WITH_WILL", "SERVER_BUSY"}  # heard, or only translated
    for name in sent:
        assert f"0x{Reason[name]:02X}" in text, name


# --- snippets and links ---------------------------------------------------------------------------


def _names(found: list[Snippet]) -> list[str]:
    return [f"{page.name}-{place}" for place, (page, *_) in enumerate(found)]


POLICIES = [s for s in snippets("yaml") if "keep:" in s.text]
TOML = snippets("toml")
JSON = snippets("json")


@pytest.mark.parametrize("snippet", POLICIES, ids=_names(POLICIES))
def test_policies_in_snippets_are_right(snippet: Snippet) -> None:
    assert read_file(snippet.text, "ann").policies


@pytest.mark.parametrize("snippet", TOML, ids=_names(TOML))
def test_settings_in_snippets_are_right(snippet: Snippet) -> None:
    Settings.model_validate(tomllib.loads(snippet.text))


@pytest.mark.parametrize("snippet", JSON, ids=_names(JSON))
def test_json_in_snippets_is_json(snippet: Snippet) -> None:
    try:
        msgspec.json.decode(snippet.text)
    except msgspec.DecodeError:
        msgspec.json.Decoder().decode_lines(snippet.text)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = [title for _, title in _HEADING.findall(prose(page))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_test_that_the_reference_names_exists() -> None:
    text = "\n".join(page.read_text() for page in REFERENCE.glob("*.md"))
    named = set(re.findall(r"`(test_\w+)`", text))
    code = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert named <= set(re.findall(r"def (test_\w+)", code))


SOURCE = ROOT / "src" / "lakebed"
WORDS = {word for path in SOURCE.rglob("*.py") for word in re.findall(r"\w+", path.read_text())}
TERMS = re.findall(
    r"^\| ([^|]+) \| `([^`(]+)[^|]*\|", (REFERENCE / "glossary.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("term", "named"), TERMS)
def test_a_term_of_the_glossary_names_what_is_in_the_code(term: str, named: str) -> None:
    if "/" in named or (SOURCE / named).is_dir():
        assert any((SOURCE / f"{named}{end}").exists() for end in ("", ".py")), term
        return
    for step in named.split(".")[-2:]:
        assert step in WORDS, term
