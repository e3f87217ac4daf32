"""A process without the API: ingest and health, and a word about who answers the rest."""

import asyncio
from typing import Any

import httpx
import pytest

from lakebed.api.app import create_front
from lakebed.api.services import Common

from .conftest import ADMIN, SETTINGS, Api, problem


def ask(api: Api, method: str, path: str, intake: bool = True, **more: Any) -> httpx.Response:
    """Ask the front of the same stores."""
    given = api.services
    common = Common(
        settings=SETTINGS,
        identification=given.identification,
        ready=given.ready,
        audit=given.audit,
        intake=given.intake if intake else None,
    )

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(create_front(common))
        async with httpx.AsyncClient(transport=transport, base_url="http://lakebed") as client:
            headers = {"Authorization": f"Bearer {ADMIN}"}
            return await client.request(method, path, headers=headers, **more)

    answer: httpx.Response = api.run(asyncio.wait_for(send(), 30))
    return answer


def test_a_gateway_takes_messages(api: Api) -> None:
    answer = ask(api, "POST", "/api/v1/messages", params={"topic": "a"}, content=b"1")
    assert answer.status_code == 202
    assert api.appended(0)[-1] == ("admin", "a", b"1")


@pytest.mark.parametrize("path", ["/api/v1/messages?topic=a", "/api/v1/messages/batch"])
def test_who_is_no_gateway_names_the_role_that_takes_messages(api: Api, path: str) -> None:
    answer = ask(api, "POST", path, intake=False, content=b'{"topic":"a","value":1}')
    assert "role gateway" in problem(answer, 404)["detail"]


@pytest.mark.parametrize("path", ["/api/v1/flow", "/api/v1/records?topic=a", "/api/docs"])
def test_who_is_no_api_names_the_role_that_answers(api: Api, path: str) -> None:
    assert "role api" in problem(ask(api, "GET", path), 404)["detail"]


def test_health_is_told_by_all_and_the_instance_s_totals_by_the_api_alone(api: Api) -> None:
    assert ask(api, "GET", "/healthz").json()["status"] == "alive"
    assert ask(api, "GET", "/readyz").json()["ready"] is True
    assert "lakebed_ready" in (own := ask(api, "GET", "/metrics").text)
    assert "lakebed_topics" not in own
    assert "lakebed_topics" in api.get("/metrics").text
