"""Boards as pages: read without script, arranged by forms, imported, exported."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
import yaml

from lakebed.ports.accounts.owners import Member
from lakebed.ports.catalog.last_values import LastValue
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import MINUTE, SECOND, now
from tests.application import Api

from .conftest import Browser, text_of

PNG = b"\x89PNG\r\n\x1a\n" + b"not much"
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>\u202e"
HOUSE = {
    "name": "house",
    "title": "The house",
    "tiles": [
        {"kind": "number", "topics": ["room/1"], "suffix": "°C"},
        {
            "kind": "alert",
            "title": "Warm",
            "topics": ["room/+", "attic"],
            "above": 20,
            "silent": "5m",
        },
        {"kind": "last", "topics": ["room/+"]},
        {"kind": "flow"},
        {"kind": "text", "text": "# Where\nIn the **cellar**, <b>below</b>.\n- one\n- two"},
    ],
}


def put(api: Api, **more: Any) -> None:
    body = json.dumps(HOUSE | more)
    path = f"/api/v1/boards/{(HOUSE | more)['name']}"
    answer = api.ask("PUT", path, content=body)
    assert answer.is_success, answer.text


def stored(api: Api, name: str = "house") -> dict[str, Any]:
    board = api.catalog.board("ann", name)
    assert board is not None
    return dict(board.document)


def keep(api: Api, topic: str, value: float | str, age: int = 0, policy: str = "now") -> None:
    kind = "text" if isinstance(value, str) else "number"
    moment = now() - age
    api.catalog.upsert_last([LastValue("ann", policy, topic, kind, moment, value, 4, 0, moment)])


@pytest.fixture(autouse=True)
def no_boards(api: Api) -> Iterator[None]:
    yield
    for board in api.catalog.boards("ann"):
        api.catalog.delete_board("ann", board.name)


def fields_of(page: str) -> dict[str, str]:
    """Of the form of the editor what a browser would send back."""
    etag = page.split('name="etag" value="')[1].split('"')[0]
    text = page.split('<textarea id="f-yaml"')[1].split(">", 1)[1].split("</textarea>")[0]
    for name, one in {"&#34;": '"', "&#39;": "'", "&lt;": "<", "&gt;": ">", "&amp;": "&"}.items():
        text = text.replace(name, one)
    return {"etag": etag, "yaml": text, "places": ""}


def test_a_board_is_added_arranged_and_saved_by_forms_alone(api: Api, ann: Browser) -> None:
    added = ann.send("/boards", {"name": "house", "title": "The house", "share": "owner"})
    assert added.headers["location"] == "/boards/house/edit"
    page = ann.see("/boards/house/edit")
    for tile in ({"kind": "number", "tile-topics": "room/1"},
                 {"kind": "alert", "tile-topics": "room/+\nhall", "tile-above": "20",
                  "tile-outside": "-5, 20.5", "tile-equals": "OFF"}):  # fmt: skip
        fields = fields_of(page) | tile | {"do": "add"}
        page = ann.send("/boards/house/edit", fields).text
    assert stored(api)["tiles"] == []  # nothing is written before it is saved
    page = ann.send("/boards/house/edit", fields_of(page) | {"do": "wider:1"}).text
    page = ann.send("/boards/house/edit", fields_of(page) | {"do": "right:1"}).text
    saved = ann.send("/boards/house/save", fields_of(page))
    assert (saved.status_code, saved.headers["location"]) == (303, "/boards/house")
    number, alert = stored(api)["tiles"]
    assert (number["x"], number["y"], number["w"]) == (0, 0, 3)
    assert (alert["x"], alert["y"], alert["w"], alert["topics"]) == (4, 0, 4, ["room/+", "hall"])
    assert (alert["above"], alert["outside"], alert["equals"]) == (20, [-5, 20.5], "OFF")
    assert "Saved." in text_of(ann.see("/boards/house"))


def test_places_that_were_dragged_to_are_saved(api: Api, ann: Browser) -> None:
    put(api, tiles=HOUSE["tiles"][:2])
    fields = fields_of(ann.see("/boards/house/edit"))
    moved = fields | {"places": "[[6, 0, 6, 4], [0, 0, 6, 4]]"}
    assert ann.send("/boards/house/save", moved).status_code == 303
    assert [tile["x"] for tile in stored(api)["tiles"]] == [6, 0]
    fields = fields_of(ann.see("/boards/house/edit"))
    for wrong in (
        "[[6, 0, 6, 4]]",
        "[",
        "[[1]]",
        '{"a": 1}',
        "[[0,0,6,4],[0,0,6,4]]",
        "[[Infinity,0,6,4],[6,0,6,4]]",
    ):
        assert ann.send("/boards/house/save", fields | {"places": wrong}).status_code == 422, wrong
    assert [tile["x"] for tile in stored(api)["tiles"]] == [6, 0]


def test_each_mistake_is_named_and_nothing_that_was_typed_is_lost(api: Api, ann: Browser) -> None:
    put(api)
    fields = fields_of(ann.see("/boards/house/edit"))
    text = "name: house\nrange: soon\ntiles:\n  - kind: plto\n    topics: [a/#/b]\n"
    answer = ann.send("/boards/house/save", fields | {"yaml": text})
    assert answer.status_code == 422
    told = text_of(answer.text)
    for where in ("range", "tiles[0].kind", "tiles[0].topics[0]"):
        assert where in told
    assert "kind: plto" in answer.text
    (marked,) = re.findall(r' problems="([^"]*)"', answer.text)
    assert {one["line"] for one in json.loads(unescape(marked))} == {2, 4, 5}
    tile = {"kind": "number", "tile-topics": "a/+", "tile-suffix": "x" * 20, "do": "add"}
    answer = ann.send("/boards/house/edit", fields | tile)
    assert answer.status_code == 422
    assert "topics[0]" in answer.text
    assert "suffix" in answer.text
    assert ann.send("/boards", {"name": "a b"}).status_code == 422
    assert ann.send("/boards", {"name": "house"}).status_code == 409
    assert stored(api)["title"] == "The house"


def test_a_change_of_another_is_told_and_nothing_is_lost(api: Api, ann: Browser) -> None:
    put(api)
    fields = fields_of(ann.see("/boards/house/edit"))
    put(api, title="Theirs")
    mine = fields | {"yaml": fields["yaml"].replace("The house", "Mine")}
    answer = ann.send("/boards/house/save", mine)
    assert answer.status_code == 409
    assert "Somebody has changed this board meanwhile" in text_of(answer.text)
    assert "title: Theirs" in answer.text  # what is there now
    assert "title: Mine" in fields_of(answer.text)["yaml"]
    assert stored(api)["title"] == "Theirs"
    assert ann.send("/boards/house/save", fields_of(answer.text)).status_code == 303
    assert stored(api)["title"] == "Mine"


def test_a_board_is_given_another_name(api: Api, ann: Browser) -> None:
    put(api)
    fields = fields_of(ann.see("/boards/house/edit"))
    renamed = fields | {"yaml": fields["yaml"].replace("name: house", "name: home")}
    assert ann.send("/boards/house/save", renamed).headers["location"] == "/boards/home"
    assert [board.name for board in api.catalog.boards("ann")] == ["home"]


def test_tiles_are_read_without_script(api: Api, ann: Browser) -> None:
    keep(api, "room/1", 21.5)
    keep(api, "room/2", 19.0)
    keep(api, "room/3", 18.0, age=10 * MINUTE)
    keep(api, "room/4", "warm")
    put(api)
    page = ann.see("/boards/house?range=1h")
    told = text_of(page)
    assert "21.5 °C" in told
    assert "2 broken, 2 silent" in told
    assert "Broken when above 20 or silent for 5m · 5 topics" in told
    for state in ("broken room/1 21.5", "broken room/4", "silent room/3", "silent attic"):
        assert state in told
    assert "no value was kept yet" in told
    assert "<strong>cellar</strong>, &lt;b&gt;below&lt;/b&gt;" in page
    assert "<li>two</li>" in page
    assert "received" in told
    assert 'aria-current="true">1 hour' in page
    assert "style=" not in page  # the policy of the page refuses it
    part = ann.see("/boards/house?part=tiles")
    assert "<html" not in part
    assert "21.5" in part


def test_a_board_shows_what_its_reader_may_read_and_says_so_of_the_rest(
    api: Api, ann: Browser
) -> None:
    keep(api, "room/1", 21.5)
    put(api, share="instance")
    eve = Browser(api)
    assert eve.sign_in("eve").status_code == 303
    page = eve.see("/boards/house?owner=ann")
    assert "You may not read the topics of this tile." in page
    assert "21.5" not in page
    assert "cellar" in page
    assert "/boards/house/edit" not in page
    assert eve.get("/boards/house/edit?owner=ann").status_code == 403
    assert eve.send("/boards/house/save?owner=ann", {"yaml": "name: house"}).status_code == 403
    put(api, share="owner")
    assert eve.get("/boards/house?owner=ann").status_code == 404
    api.catalog.put_member(Member("ann", "eve", Role.VIEWER))
    assert "21.5" in eve.see("/boards/house?owner=ann")
    api.catalog.remove_member("ann", "eve")


def test_strangers_are_led_to_sign_in(api: Api, stranger: Browser) -> None:
    put(api, share="public")
    answer = stranger.get("/boards/house?owner=ann")
    assert answer.headers["location"].startswith("/sign-in?next=%2Fboards%2Fhouse")


@pytest.mark.parametrize("name", ["node", "load", "errors", "unit", "fleet"])
def test_a_made_board_is_looked_at_and_added(api: Api, ann: Browser, name: str) -> None:
    page = ann.see(f"/boards/made/{name}")
    assert "Add to mine" in page
    first = ann.send(f"/boards/made/{name}", {})
    assert first.headers["location"] == f"/boards/{name}"
    assert ann.send(f"/boards/made/{name}", {}).headers["location"] == f"/boards/{name}-1"
    assert ann.get("/boards/made/nothing").status_code == 404
    assert ann.get("/boards/made/unit?unit=nobody").status_code == 404


def test_boards_are_exported_and_imported_all_or_none(api: Api, ann: Browser) -> None:
    put(api)
    exported = ann.get("/boards/house/export")
    assert exported.headers["content-disposition"] == 'attachment; filename="house.yaml"'
    document = yaml.safe_load(exported.text)
    assert document == {"boards": [stored(api)]}
    assert ann.send("/boards/import", {"yaml": exported.text}).status_code == 409
    both = yaml.safe_dump({"boards": [{"name": "attic"}, document["boards"][0] | {"title": "B"}]})
    assert ann.send("/boards/import", {"yaml": both}).status_code == 409
    assert [board.name for board in api.catalog.boards("ann")] == ["house"]
    replaced = ann.send("/boards/import", {"yaml": both, "replace": "1"})
    assert replaced.headers["location"] == "/boards"
    assert stored(api)["title"] == "B"
    assert "Imported 2 boards." in text_of(ann.see("/boards"))
    assert ann.send("/boards/import", {"yaml": "boards: 5"}).status_code == 422


def test_a_board_is_deleted_after_a_question(api: Api, ann: Browser) -> None:
    put(api)
    assert "What they showed stays." in text_of(ann.send("/boards/house/delete", {}).text)
    assert stored(api)
    assert ann.send("/boards/house/delete", {"sure": "1"}).headers["location"] == "/boards"
    assert api.catalog.boards("ann") == []


def test_a_picture_is_bytes_of_a_known_kind_in_a_sandbox(api: Api, ann: Browser) -> None:
    put(api, tiles=[{"kind": "image", "topics": ["camera"]}, {"kind": "flow"}])
    assert "no policy keeps a series of camera yet" in ann.see("/boards/house")
    keep(api, "camera", "data:image/svg+xml;base64," + b64encode(PNG).decode())
    assert "/boards/house/pictures/0?at=" in ann.see("/boards/house")
    answer = ann.get("/boards/house/pictures/0")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    keep(api, "camera", b64encode(b"<svg onload=alert(1)>").decode(), age=-SECOND)
    assert "is no PNG, JPEG, GIF or WebP" in ann.see("/boards/house")
    assert ann.get("/boards/house/pictures/0").status_code == 400
    assert ann.get("/boards/house/pictures/1").status_code == 404
    assert ann.get("/boards/house/pictures/9").status_code == 404


def test_strings_of_others_are_text(api: Api, ann: Browser) -> None:
    topic = "a/<script>alert(1)</script>/\"'"
    keep(api, topic, HOSTILE)
    tiles = [
        {"kind": "text", "title": HOSTILE, "text": HOSTILE + "\n**" + HOSTILE + "**"},
        {"kind": "last", "topics": ["a/#"], "title": HOSTILE},
        {"kind": "number", "topics": [topic], "suffix": "<b>"},
        {"kind": "alert", "topics": ["a/#"], "above": 1, "equals": HOSTILE},
    ]
    put(api, title=HOSTILE, tiles=tiles)
    for path in ("/boards", "/boards/house", "/boards/house/edit", "/boards/house?full=1"):
        page = ann.see(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    deleted = ann.send("/boards/house/delete", {})
    assert "<script>alert" not in deleted.text


def test_what_a_range_or_a_button_may_be_is_checked(api: Api, ann: Browser) -> None:
    put(api)
    assert ann.get("/boards/house?range=1s").status_code == 400
    assert ann.get("/boards/house?range=soon").status_code == 400
    fields = fields_of(ann.see("/boards/house/edit"))
    for do in ("left:99", "left:", "jump:0", "", "left:-1", "left:" + "9" * 5000):
        assert ann.send("/boards/house/edit", fields | {"do": do}).status_code == 422, do[:20]
    assert ann.get("/boards/house/nothing").status_code == 404
    assert ann.send("/boards/nothing/save", fields).status_code == 409


def test_one_that_cannot_be_read_any_more_is_still_listed(api: Api, ann: Browser) -> None:
    """A topic without a policy: the tile says so, and the others go on."""
    put(api, tiles=[{"kind": "table", "topics": ["nowhere"]}, {"kind": "text", "text": "here"}])
    told = text_of(ann.see("/boards/house"))
    assert "no policy keeps a series of nowhere yet" in told
    assert "here" in told


def test_a_board_for_everybody_is_seen_without_signing_in_where_the_instance_allows_it(
    api: Api, stranger: Browser
) -> None:
    keep(api, "room/1", 21.5)
    put(api, share="public")
    put(api, name="inside", share="instance")
    state = api.app.control.state
    before = state.services
    auth = before.settings.auth.model_copy(update={"public": True})
    settings = before.settings.model_copy(update={"auth": auth})
    state.services = replace(before, settings=settings)
    try:
        page = stranger.see("/boards/house?owner=ann")
        assert "cellar" in page
        assert "You may not read the topics of this tile." in page  # they are not shared
        assert "21.5" not in page
        assert "/edit" not in page
        assert "inside" not in stranger.see("/boards?owner=ann")
        assert stranger.get("/boards/inside?owner=ann").status_code == 404
        assert stranger.see("/boards/made/load?owner=ann")
        for path in ("/boards/house", "/boards/house/edit?owner=ann", "/units?owner=ann"):
            assert stranger.get(path).headers["location"].startswith("/sign-in"), path
    finally:
        state.services = before


def test_tiles_show_one_field_or_name_each(api: Api, ann: Browser) -> None:
    for field, value in (("celsius", 21.5), ("humidity", 43.0)):
        moment = now()
        one = LastValue("ann", "now", "room/9", "number", moment, value, 4, 0, moment)
        api.catalog.upsert_last([replace(one, field=field)])
    last = {"kind": "last", "topics": ["room/9"]}
    tiles = [last, last | {"field": "humidity", "title": "One"}]
    put(api, name="fields", tiles=tiles)
    text = text_of(ann.see("/boards/fields"))
    assert "room/9 · celsius" in text
    assert text.count("21.5") == 1
    assert text.count("43") == 2
    refused = api.ask(
        "PUT",
        "/api/v1/boards/fields",
        content=json.dumps({"name": "fields", "tiles": [last | {"field": "a b"}]}),
    )
    assert refused.status_code == 422
