"""The page of secrets: written and removed, never shown."""

import pytest

from lakebed.api.routes import secrets as routes
from tests.application import Api

from .conftest import Browser


def test_a_secret_is_written_and_removed_and_never_shown(
    api: Api, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "pl4nted-value"
    assert "secret:NAME" in ann.see("/secrets")
    wrong = ann.send("/secrets", {"name": "a b", "secret": value})
    assert wrong.status_code == 400
    assert 'value="a b"' in wrong.text
    assert value not in wrong.text
    assert ann.send("/secrets", {"name": "ops", "secret": value}).status_code in (200, 303)
    assert api.services.secrets.resolve("ann", "secret:ops").reveal() == value
    uses = {"relays": lambda services, owner: [{"name": "m", "sign": "secret:ops"}]}
    monkeypatch.setattr(routes, "REFERRING", uses)
    page = ann.see("/secrets")
    assert "secret:ops" in page
    assert "relays/m" in page
    assert value not in page
    assert "relays/m" in ann.send("/secrets/remove", {"name": "ops"}).text
    ann.send("/secrets/remove", {"name": "ops", "force": "1"})
    assert "secret:ops" not in ann.see("/secrets")
