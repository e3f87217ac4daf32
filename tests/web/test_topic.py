"""The page of a topic, as HTML: what it says of kept and not kept messages, without script."""

from collections.abc import Iterator
from typing import Any

import pytest

from lakebed.ports.accounts.users import User
from lakebed.ports.question import Page, Question
from lakebed.vocabulary.times import now
from tests.application import PASSWORDS, Api, opened

from .conftest import PASSWORD, Browser, text_of

HOSTILE = [
    "<script>alert(1)</script>",
    '" onload=alert(1) x="',
    "\u202egpj.exe",
    "{{ 7 * 7 }}",
    "a'b&c<d>",
]


class Series:
    """Answers every question with the rows it was given."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[Question] = []

    def read(self, question: Question) -> Page:
        import pyarrow as pa

        self.asked.append(question)
        names = ["topic", "time", "partition", "offset", "type", "number", "text", "id", "size"]
        names += ["field", "element"]
        table = {name: [row[name] for row in self.rows] for name in names}
        return Page(question, pa.table(table), "next" if self.rows else None)

    def usage(self, owner: str) -> Iterator[Any]:
        return iter(())


def row(text: str = "", number: float = 0.0, type: int = 1, id: str = "") -> dict[str, Any]:
    return {
        "topic": "room/1", "time": now() - 5_000_000, "partition": 0, "offset": 7, "type": type,
        "number": number, "text": text, "id": id, "size": len(text) or 3,
        "field": "", "element": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def series() -> Series:
    return Series()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, series: Series) -> Iterator[Api]:
    with opened(tmp_path_factory.mktemp("home"), series) as api:  # type: ignore[arg-type]
        for name in ("ann", "eve"):
            api.catalog.add_user(User(name), PASSWORDS.hash(PASSWORD), adopt=True)
        yield api


def put(browser: Browser, name: str, topics: list[str], **more: Any) -> None:
    document = {"name": name, "keep": "archive", "topics": topics, "type": "number", **more}
    headers = {"origin": "http://lakebed", "accept": "*/*"}
    path = f"/api/v1/policies/{name}"
    answer = browser.ask("PUT", path, json=document, headers=headers)
    assert answer.status_code in (200, 201), answer.text


def test_a_topic_without_a_policy_teaches_how_to_keep_it(ann: Browser) -> None:
    shown = ann.see("/topic?topic=lonely/1")
    assert "No policy keeps this topic" in text_of(shown)
    assert "/policies/new?topic=lonely%2F1" in shown
    assert "lb-plot" not in shown


def test_numbers_have_a_plot_records_and_exports(ann: Browser, series: Series) -> None:
    put(ann, "raw", ["room/+"])
    series.rows = [row(number=21.5, id="m-1")]
    shown = ann.see("/topic?topic=room/1")
    assert '<lb-plot url="/points?policy=raw"' in shown
    assert "21.5" in text_of(shown)
    for form in ("json", "ndjson", "csv", "arrow", "parquet"):
        assert f"limit=100000&amp;format={form}" in shown
    assert "cursor=next#records" in shown
    assert series.asked[-1].descending


def test_a_policy_that_changes_values_is_not_shown_from_the_stream(ann: Browser) -> None:
    put(ann, "plain", ["plain"])
    put(ann, "scaled", ["scaled"], transform={"scale": 2})
    assert " direct" in ann.see("/topic?topic=plain")
    assert " direct" not in ann.see("/topic?topic=scaled")


def test_a_plot_of_windows_shows_a_function_that_is_chosen(ann: Browser) -> None:
    hourly = {"keep": "aggregate", "every": "1h"}
    put(ann, "grown", ["meter"], functions=["increase", "rate"], **hourly)
    put(ann, "mixed", ["mixed"], functions=["avg", "max", "p95"], **hourly)
    shown = ann.see("/topic?topic=meter")
    assert '<lb-plot url="/points?policy=grown&amp;function=increase"' in shown
    assert '<option value="rate">rate</option>' in shown
    assert '<lb-plot url="/points?policy=mixed"' in ann.see("/topic?topic=mixed")
    shown = ann.see("/topic?topic=mixed&function=p95")
    assert '<lb-plot url="/points?policy=mixed&amp;function=p95"' in shown
    assert '<lb-plot url="/points?policy=mixed"' in ann.see("/topic?topic=mixed&function=evil")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_strings_of_others_are_text(ann: Browser, series: Series, hostile: str) -> None:
    put(ann, "texts", ["text/#"], type="text")
    series.rows = [row(hostile, type=2, id=hostile)]
    shown = ann.get("/topic", params={"topic": f"text/{hostile}".replace("+", "")}).text
    assert "<script>alert" not in shown
    assert " onload=alert" not in shown.replace("&#34; onload", "")
    assert "\u202e" not in text_of(shown)  # fields carry the topic as it is
    assert "7 * 7" in text_of(shown) or "7 * 7" not in hostile


def test_long_values_are_cut_and_said_so(ann: Browser, series: Series) -> None:
    put(ann, "texts", ["text/#"], type="text")
    series.rows = [row("x" * 5000, type=2)]
    shown = ann.see("/topic?topic=text/long")
    assert "x" * 2001 not in shown
    assert "3,000 more" in text_of(shown) or "3000 more" in text_of(shown)


def test_json_is_laid_out_and_what_scrolls_is_reached_by_keyboard(
    ann: Browser, series: Series
) -> None:
    put(ann, "orders", ["orders"], type="json")
    lines = ", ".join('{"sku": "K-1", "name": "Müller & Söhne <GmbH>"}' for _ in range(9))
    series.rows = [row(f'{{"id": 7, "lines": [{lines}]}}', type=3), row('{"id": 8}', type=3)]
    shown = ann.see("/topic?topic=orders")
    assert "  &#34;id&#34;: 7" in shown
    assert "Müller &amp; Söhne &lt;GmbH&gt;" in shown
    assert shown.count('<pre tabindex="0" role="group"') == 1
    assert "<pre>{\n  &#34;id&#34;: 8\n}</pre>" in shown


def test_wrong_questions_are_said_beside_the_form(ann: Browser, series: Series) -> None:
    put(ann, "raw", ["room/+"])
    series.rows = []
    shown = ann.see("/topic?topic=room/1&from=yesterday")
    assert "RFC 3339" in text_of(shown)
    assert 'value="yesterday"' in shown


def test_a_topic_must_be_named_and_allowed(ann: Browser) -> None:
    assert ann.get("/topic").status_code == 400
    assert ann.get("/topic?topic=a/%23/b").status_code == 400
    assert ann.get("/topic?topic=x&owner=eve").status_code == 403


def test_a_filter_nobody_was_heard_under_says_so(ann: Browser) -> None:
    answer = ann.get("/topic?topic=never/%23")
    assert answer.status_code == 404
    assert "nothing has been heard" in answer.text


def test_the_page_speaks_russian(ann: Browser) -> None:
    ann.language = "ru"
    assert "Почему это не сохранено?" in ann.see("/topic?topic=lonely/1")
