"""Every way in names the action that it is: a new one without an action fails here."""

import inspect
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import grimp
import pytest
import typer
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from lakebed.access.actions import Action
from lakebed.api.app import Application, create_app, create_front
from lakebed.api.callers import Acting
from lakebed.api.emqx import endpoint as emqx
from lakebed.cli.main import LOCAL, app
from lakebed.runtime.settings import Settings
from lakebed.sources.http import ingest
from lakebed.sources.mqtt.codec.decoder import AT_SERVER
from lakebed.sources.mqtt.server.actions import ACTIONS as PACKETS

APPLICATIONS = [create_app(Mock(settings=Settings())), create_front(Mock(settings=Settings()))]


def acting(dependant: Dependant) -> Iterator[Action]:
    """The actions that a route or one of its dependencies names."""
    if isinstance(dependant.call, Acting):
        yield dependant.call.action
    for below in dependant.dependencies:
        yield from acting(below)


def routes_of(control: FastAPI) -> list[BaseRoute]:
    return [found.original_route for found in iter_route_contexts(control.routes)]


def routes() -> Iterator[Any]:
    for application in APPLICATIONS:
        for route in routes_of(application.control):
            methods = ",".join(getattr(route, "methods", None) or ())
            yield pytest.param(route, id=f"{methods} {getattr(route, 'path', route)}")


@pytest.mark.parametrize("route", list(routes()))
def test_every_route_names_one_action(route: Any) -> None:
    assert isinstance(route, APIRoute), "it cannot say what it needs: write it as a route"
    assert len(list(acting(route.dependant))) == 1


def test_a_route_without_an_action_is_found() -> None:
    """The test above sees what it should."""
    control = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    control.get("/open")(lambda: None)
    (route,) = routes_of(control)
    assert isinstance(route, APIRoute)
    assert not list(acting(route.dependant))


@pytest.mark.parametrize("application", APPLICATIONS, ids=["api", "front"])
def test_every_path_that_is_answered_before_the_routes_names_an_action(
    application: Application,
) -> None:
    assert set(application.ingest.paths) == set(ingest.ACTIONS)
    assert set(application.front) <= set(emqx.ACTIONS)


def test_every_packet_of_a_client_names_an_action_or_none() -> None:
    assert set(PACKETS) == {1, 3, *AT_SERVER}  # CONNECT and PUBLISH are read apart


def commands() -> Iterator[tuple[str, str]]:
    """Each command with the module it is written in; of groups their first word."""
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        for one in leaves(command):
            yield name, inspect.unwrap(one.callback).__module__


def leaves(command: Any) -> Iterator[Any]:
    """The commands of a group, and of the groups in it; a command alone is itself."""
    below = getattr(command, "commands", None)
    if below is None:
        yield command
    for one in (below or {}).values():
        yield from leaves(one)


def test_every_command_on_the_stores_themselves_names_an_action() -> None:
    graph = grimp.build_graph("lakebed")
    stores = {"lakebed.stores", *graph.find_descendants("lakebed.stores")}

    def reaches(module: str) -> bool:
        return bool(graph.find_upstream_modules(module) & stores)

    local = {name for name, module in commands() if reaches(module)}
    assert {"up", "restore"} <= local  # it finds some
    assert local == set(LOCAL)


def test_every_action_is_that_of_some_way_in() -> None:
    named = {*ingest.ACTIONS.values(), *emqx.ACTIONS.values(), *PACKETS.values(), *LOCAL.values()}
    for application in APPLICATIONS:
        for route in routes_of(application.control):
            assert isinstance(route, APIRoute)
            named.update(acting(route.dependant))
    assert named - {None} == set(Action)
