"""What the series lost, by HTTP, and that an operator has seen it."""

import msgspec
import pytest

from lakebed.backup.loss import Loss

from .conftest import ADMIN, ANN, Api, problem

PATH = "/api/v1/series"
ACKNOWLEDGE = f"{PATH}/acknowledge-loss"


def note(api: Api, loss: Loss) -> None:
    api.catalog.write_note("series.loss", msgspec.json.encode(loss).decode())


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{ACKNOWLEDGE}?missing=0")])
def test_the_series_is_for_admins(api: Api, method: str, path: str) -> None:
    problem(api.ask(method, path, token=None), 401)
    problem(api.ask(method, path, token=ANN), 403)


def test_where_nothing_is_lost_there_is_nothing_to_acknowledge(api: Api) -> None:
    assert api.get(PATH, token=ADMIN).json() == {"loss": None}
    problem(api.ask("POST", ACKNOWLEDGE, token=ADMIN, params={"missing": 0}), 404)


def test_a_loss_is_shown_and_acknowledged_as_it_was_seen(api: Api) -> None:
    note(api, Loss("it was not there", 1, done=True, missing=200, since=1, until=2))
    loss = api.get(PATH, token=ADMIN).json()["loss"]
    assert (loss["reason"], loss["missing"], loss["done"]) == ("it was not there", 200, True)
    problem(api.ask("POST", ACKNOWLEDGE, token=ADMIN, params={"missing": 100}), 409)
    answer = api.ask("POST", ACKNOWLEDGE, token=ADMIN, params={"missing": 200})
    assert answer.json() == loss
    assert api.get(PATH, token=ADMIN).json() == {"loss": None}


def test_a_loss_that_is_being_rebuilt_cannot_be_acknowledged_yet(api: Api) -> None:
    note(api, Loss("it was not there", 1))
    problem(api.ask("POST", ACKNOWLEDGE, token=ADMIN, params={"missing": 0}), 409)
