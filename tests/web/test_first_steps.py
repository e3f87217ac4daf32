"""First steps: a message from the page, commands with a token, and where the link leads."""

import re

from lakebed.accounts.tickets import password_link
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.times import HOUR
from tests.application import Api

from .conftest import PASSWORD, Browser, text_of


def test_a_message_is_sent_from_the_page_and_seen(api: Api, ann: Browser) -> None:
    before = api.end
    answer = ann.send("/first-steps/send", {"topic": "kitchen/<i>", "value": "21.5"})
    assert answer.status_code == 303
    assert api.appended(before) == [("ann", "kitchen/<i>", b"21.5")]
    page = ann.see(answer.headers["location"])
    assert "kitchen/&lt;i&gt; has arrived, and is durable." in page
    assert "<i>" not in page


def test_a_topic_that_is_none_or_not_ones_own_is_refused(api: Api, ann: Browser) -> None:
    before = api.end
    answer = ann.send("/first-steps/send", {"topic": "a/#", "value": "typed"})
    assert answer.status_code == 400
    assert 'value="typed"' in answer.text
    assert (
        ann.send("/first-steps/send?owner=works", {"topic": "a", "value": "1"}).status_code == 403
    )
    assert api.end == before


def test_the_commands_get_a_token_that_works(api: Api, ann: Browser) -> None:
    page = ann.send("/first-steps/token", {"topic": "kitchen/1"}).text
    token = re.search(r"lb_\w{40}", page)
    assert token is not None
    sent = api.post("/api/v1/messages", params={"topic": "kitchen/1"}, content=b"1", token=token[0])
    assert sent.status_code == 202
    assert "lb_" not in ann.see("/first-steps")


def test_the_first_link_leads_to_first_steps_signed_in(api: Api, stranger: Browser) -> None:
    api.catalog.add_user(User("new"), adopt=True)
    _, link = password_link(api.catalog, "new", "http://lakebed", HOUR)
    path = link.removeprefix("http://lakebed")
    answer = stranger.ask("POST", path, data={"password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/first-steps")
    assert "Send a message" in text_of(stranger.see("/first-steps"))


def test_each_step_opens_as_the_one_before_is_done(api: Api, ann: Browser) -> None:
    def steps() -> list[str]:
        shown = ann.see("/first-steps/progress?topic=porch%2F1")
        return re.findall(r'class="card step (\w+)"', shown)

    assert steps() == ["now", "later", "later"]
    ann.send("/first-steps/send", {"topic": "porch/1", "value": "21.5"})
    assert steps() == ["done", "now", "later"]
    assert 'value="minutes"' in ann.see("/first-steps/progress?topic=porch/1")
    for what, keep in (("minutes", "aggregate"), ("all", "window")):
        sent = ann.send("/first-steps/keep", {"topic": "porch/1", "type": "number", "what": what})
        assert sent.status_code == 303
        found = [one.document for one in api.catalog.policies("ann")]
        assert [one["keep"] for one in found if one["topics"] == ["porch/1"]][-1] == keep
    assert steps() == ["done", "done", "now"]
    assert "Send 22" in text_of(ann.see("/first-steps?topic=porch/1"))


def test_a_topic_of_texts_is_offered_what_fits_it(api: Api, ann: Browser) -> None:
    ann.send("/first-steps/send", {"topic": "porch/door", "value": '{"open": true}'})
    page = ann.see("/first-steps?topic=porch/door")
    assert 'value="newest"' in page
    assert 'value="minutes"' not in page
    sent = ann.send("/first-steps/keep", {"topic": "porch/door", "type": "json", "what": "newest"})
    assert sent.status_code == 303, text_of(sent.text)
    (made,) = [p.document for p in api.catalog.policies("ann") if p.name == "porch-door"]
    assert made["type"] == "json"
