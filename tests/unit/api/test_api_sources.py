"""What sources did not store, by HTTP."""

from types import SimpleNamespace
from typing import Any, cast

from lakebed.api.routes.sources import list_sources
from lakebed.ports.catalog.notes import note_of_source
from lakebed.runtime.settings import Settings

from .conftest import ADMIN, ANN, Api, problem

PATH = "/api/v1/sources"


def test_sources_are_for_admins(api: Api) -> None:
    problem(api.get(PATH, token=None), 401)
    problem(api.get(PATH, token=ANN), 403)
    assert api.get(PATH, token=ADMIN).json() == {"sources": []}


def test_a_source_says_what_its_gateways_wrote_down(api: Api) -> None:
    source = {"name": "site", "url": "mqtt://h", "topics": ["#"], "topic": "t/{unit}"}
    settings = Settings.model_validate({"sources": [source, {**source, "name": "b", "topic": []}]})
    services = cast(Any, SimpleNamespace(settings=settings, catalog=api.catalog))
    told: dict[str, Any] = {"not_stored": {}, "examples": []}
    shown = {"name": "site", "topic": ["t/{unit}"]}
    assert list_sources(services) == {"sources": [shown | told]}
    written = '{"not_stored": {"unknown": 3}, "examples": [{"topic": "t/x", "reason": "unknown"}]}'
    api.catalog.write_note(note_of_source("site"), written)
    (found,) = list_sources(services)["sources"]
    assert found["not_stored"] == {"unknown": 3}
    assert found["examples"][0]["topic"] == "t/x"
