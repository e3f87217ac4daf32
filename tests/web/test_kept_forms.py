"""A form that is sent after the session has ended comes back filled, for who sent it alone."""

import re

from lakebed.web import kept_forms
from lakebed.web.kept_forms import KeptForm, KeptForms
from tests.application import Api

from .conftest import Browser, text_of

TYPED = {"topic": "attic/1", "value": "a line\nanother <b>", "password": "hidden words"}


def token_of(browser: Browser) -> str:
    """The token of a form on a page that the session was shown."""
    found = re.search(r'name="csrf" value="(\w+)"', browser.see("/first-steps"))
    assert found is not None
    return found[1]


def end_session(api: Api, user: str) -> None:
    for session in api.catalog.sessions(user):
        api.catalog.end_session(user, session.id)


def test_what_was_typed_comes_back_after_signing_in(api: Api, ann: Browser) -> None:
    token = token_of(ann)
    end_session(api, "ann")
    before = api.end
    answer = ann.send("/first-steps/send", TYPED, token=token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fkept")
    assert ann.sign_in("ann").status_code == 303
    page = ann.see("/kept")
    assert "a line\nanother &lt;b&gt;</textarea>" in page
    assert 'action="/first-steps/send"' in page
    assert "hidden words" not in page
    assert api.end == before  # nothing is sent by itself
    fresh = re.search(r'name="csrf" value="(\w+)"', page)
    assert fresh is not None
    sent = ann.send("/first-steps/send", {"topic": "attic/1", "value": "1"}, token=fresh[1])
    assert sent.status_code == 303
    assert api.appended(before) == [("ann", "attic/1", b"1")]


def test_a_form_of_the_session_before_is_kept_too(api: Api, ann: Browser) -> None:
    token = token_of(ann)
    ann.sign_in("ann")  # in another tab
    before = api.end
    answer = ann.send("/first-steps/send", TYPED, token=token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/kept")
    assert "attic/1" in ann.see("/kept")
    assert api.end == before


def test_another_user_of_the_same_browser_does_not_see_it(api: Api, ann: Browser) -> None:
    token = token_of(ann)
    end_session(api, "ann")
    ann.send("/first-steps/send", TYPED, token=token)
    ann.sign_in("eve")
    answer = ann.get("/kept")
    assert answer.status_code == 404
    assert "attic/1" not in text_of(answer.text)


def test_a_form_of_another_site_or_without_its_token_is_not_kept(api: Api, ann: Browser) -> None:
    token = token_of(ann)
    end_session(api, "ann")
    assert ann.send("/first-steps/send", TYPED, token="0" * 32).status_code == 401
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-mode": "cors"}):
        data = {**TYPED, "csrf": token}
        answer = ann.ask("POST", "/first-steps/send", data=data, headers=headers)
        assert answer.status_code in (401, 403)
    large = ann.send("/first-steps/send", {"value": "x" * 300_000}, token=token)
    assert large.status_code == 401


def test_forms_are_kept_for_minutes_and_few_of_them() -> None:
    moment = [0.0]
    kept = KeptForms(lambda: moment[0])
    form = KeptForm("ann", "/somewhere", {"a": ["b"]})
    first = kept.add(form)
    assert kept.get(first, "ann") == form
    assert kept.get(first, "eve") is None
    assert kept.get("another", "ann") is None
    moment[0] = kept_forms.SECONDS + 1
    assert kept.get(first, "ann") is None
    nonces = [kept.add(form) for _ in range(kept_forms.MOST + 1)]
    assert kept.get(nonces[0], "ann") is None
    assert kept.get(nonces[1], "ann") == form
