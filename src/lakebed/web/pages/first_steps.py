"""First steps: send a message, see it arrive, choose what to keep of it, look at it."""

import secrets
from asyncio import to_thread
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api import origins
from lakebed.api.requests import policies_by_topic
from lakebed.api.routes import flow, tokens
from lakebed.vocabulary.errors import Problem, TooMany
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.words import mark as _

PAGE = Page("first-steps", "/first-steps", _("First steps"), "data", 90, Action.TOPICS_READ)
router = Pages()
Looker = Annotated[View, Viewing(Action.TOPICS_READ, PAGE)]
_TOPIC = "kitchen/temperature"
_NEWEST = 10


@router.get("/first-steps")
def show(view: Looker, topic: Annotated[str, Query(max_length=65_535)] = "") -> Response:
    """The steps, as far as they are done."""
    return _page(view, topic)


@router.post("/first-steps/send")
async def send(
    view: Annotated[View, Viewing(Action.MESSAGES_PUBLISH, PAGE)], form: FormDep
) -> Response:
    """Send one message as if a device had."""
    topic, payload = form.text("topic"), form.raw("value").encode()
    view.caller.note(f"topics/{topic}")
    ingest = view.request.app.state.ingest
    try:
        await ingest.send(view.principal, view.owner, topic, payload)
    except (*REFUSED, TooMany) as error:
        problems = problems_of(error)
        again = partial(_page, view, topic, problems, error.status, payload)
        shown: Response = await to_thread(again)
        return shown
    told = view.word(_("%(topic)s has arrived, and is durable."), topic=topic[:200])
    back = form.text("back")
    return view.go("/topic" if back == "topic" else "/first-steps", told, topic=topic)


@router.post("/first-steps/token")
def make_token(
    view: Annotated[View, Viewing(Action.TOKENS_CREATE, PAGE)], form: FormDep
) -> Response:
    """A token for the commands on the page, shown this once; it ends by itself."""
    name = f"first-steps-{secrets.token_hex(3)}"
    publish = ["#"] if view.may(Action.MESSAGES_PUBLISH, "#") else []
    wanted = {"name": name, "publish": publish, "read": ["#"], "expires": "7d"}
    try:
        made = tokens.create_token(view.services, view.caller, msgspec.json.encode(wanted))
    except REFUSED as error:
        return _page(view, form.text("topic"), (Problem("", str(error)),), error.status)
    return _page(view, form.text("topic"), token=made["token"])


def _page(
    view: View,
    topic: str,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    payload: bytes = b"21.5",
    token: str = "",
) -> Response:
    found: list[dict[str, Any]] = []
    if view.may(Action.TOPICS_READ):
        caller = view.caller.to(Action.TOPICS_READ)
        found = flow.topics(view.services, caller, limit=100_000)["topics"]
        found.sort(key=lambda row: row["last_seen"] or "9", reverse=True)
    chosen = topic or (found[0]["topic"] if found else _TOPIC)
    http = origins.own(view.request)
    host = view.request.url.hostname or "localhost"
    _, _, port = str(view.services.settings.mqtt.listen).rpartition(":")
    return view.render(
        "first_steps.html",
        status,
        problems=problems,
        topic=chosen,
        value=payload.decode(errors="replace"),
        token=token,
        http=http,
        host=f"[{host}]" if ":" in host else host,
        port=port,
        topics=found[:_NEWEST],
        kept=policies_by_topic(view.services, view.owner).match(chosen),
    )
