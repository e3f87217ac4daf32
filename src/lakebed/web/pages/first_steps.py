"""First steps: send a message, see it arrive, choose what to keep of it, look at it.

With script each step is shown as it is done (`web/src/steps.ts`), else by a link to look again.
"""

import secrets
from asyncio import to_thread
from functools import partial
from itertools import chain, count
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api import origins
from lakebed.api.requests import policies_by_topic
from lakebed.api.routes import flow, policies, tokens
from lakebed.kinds import KINDS
from lakebed.vocabulary.errors import Problem, TooMany
from lakebed.vocabulary.times import SECOND, now
from lakebed.web import drafts
from lakebed.web.known import number_in, recent
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of
from lakebed.web.topic_index import TopicIndex, build, indexes_of
from lakebed.web.words import mark as _

PAGE = Page("first-steps", "/first-steps", _("First steps"), "data", 90, Action.TOPICS_READ)
router = Pages()
Looker = Annotated[View, Viewing(Action.TOPICS_READ, PAGE)]
_TOPIC = "kitchen/temperature"
_NEWEST = 10
_SPANS = (120, 3_600, 86_400, 604_800, 2_592_000)  # seconds of the plot
_SMALL = 1_000
"""Topics of a name space that is looked at anew for each look at the page."""

_ALL = 100
"""Topics of a name space all of whose messages the page hears; of larger ones its topic's alone."""

CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "number": {
        "all": {"keep": "window", "for": "30d"},
        "minutes": {"keep": "aggregate", "every": "1m", "functions": ["min", "avg", "max"]},
        "last": {"keep": "last_value"},
    },
    "text": {"all": {"keep": "window", "for": "30d"}, "last": {"keep": "last_value"}},
    "json": {"newest": {"keep": "last_n", "count": 1_000}, "last": {"keep": "last_value"}},
}
"""What a choice writes into the document, by the type of the values."""

TITLES = {
    "all": (_("Every message, for 30 days"), _("what most begin with")),
    "minutes": (_("A summary of each minute"), _("least, average and greatest, for ever")),
    "newest": (_("The newest 1,000 messages"), _("what most begin with")),
    "last": (_("The last value alone"), _("for states and settings")),
}


@router.get("/first-steps")
def show(view: Looker, topic: Annotated[str, Query(max_length=65_535)] = "") -> Response:
    """The steps, as far as they are done."""
    return _page(view, topic)


@router.get("/first-steps/progress")
def progress(view: Looker, topic: Annotated[str, Query(max_length=65_535)] = "") -> Response:
    """The steps behind the first alone, for the script."""
    return view.render("first_steps_progress.html", **_progress(view, topic))


@router.post("/first-steps/keep")
def keep(view: Annotated[View, Viewing(Action.POLICIES_WRITE, PAGE)], form: FormDep) -> Response:
    """Make one of the policies that the page offers."""
    topic, type = form.text("topic"), form.text("type")
    choices = CHOICES.get(type) or CHOICES["number"]
    document = drafts.begun(topic)
    del document["keep"], document["for"]
    document |= {"type": type, **choices.get(form.text("what"), {})}
    document["name"] = _free(view, document["name"])
    view.caller.note(f"policies/{document['name']}")
    try:
        policies.create_policy(
            view.services, view.caller, msgspec.json.encode(document), Response()
        )
    except REFUSED as error:
        return _page(view, topic, problems_of(error), error.status)
    told = view.word(
        _("Created %(name)s. It takes effect within two seconds."), name=document["name"]
    )
    return view.go("/first-steps", told, topic=topic)


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
    http = origins.own(view.request)
    host = view.request.url.hostname or "localhost"
    _, _, port = str(view.services.settings.mqtt.listen).rpartition(":")
    return view.render(
        "first_steps.html",
        status,
        problems=problems,
        asked=topic,
        value=payload.decode(errors="replace"),
        token=token,
        http=http,
        host=f"[{host}]" if ":" in host else host,
        port=port,
        **_progress(view, topic),
    )


def _progress(view: View, topic: str) -> dict[str, Any]:
    """Which steps are done, and what they show."""
    index = _index(view)
    latest = index.latest(_NEWEST)
    chosen = topic or (latest[0].topic if latest else _TOPIC)
    seen = index.find(chosen)
    if seen is not None and all(one.topic != chosen for one in latest):
        latest = [seen, *latest[: _NEWEST - 1]]
    kept_by = policies_by_topic(view.services, view.owner)
    kept = kept_by.match(chosen)
    done = {2} if seen else set()
    done |= {3} if kept else set()
    done |= {4} if kept and seen and seen.kept else set()
    value = _newest(view, chosen)
    age = now() - seen.last if seen else 0
    return {
        "topic": chosen,
        "topics": latest,
        "policies": kept_by,
        "kept": kept,
        "done": done,
        "now": next((step for step in (2, 3, 4) if step not in done), 0),
        "follow": "#" if len(index) <= _ALL else chosen,
        "values": {chosen: value} if value else {},
        "type": _type(value),
        "choices": [(one, *map(view.word, TITLES[one])) for one in CHOICES[_type(value)]],
        "more": _one_more(value),
        "span": next((span for span in _SPANS if span * SECOND > 2 * age), _SPANS[-1]),
        "plotted": _plotted(view, kept) if 4 in done else "",
    }


def _index(view: View) -> TopicIndex:
    """The topics of the owner; of few as they are now, of many as they were a moment ago."""
    caller = view.caller.to(Action.TOPICS_READ)
    if not view.may(Action.TOPICS_READ):
        return TopicIndex([], np.zeros((0, 5), np.int64))
    index = indexes_of(view.request).get(view.services, caller)
    return index if len(index) > _SMALL else build(*flow.load(view.services), caller)


def _newest(view: View, topic: str) -> str:
    """The newest value of a topic as a text; empty where it is not among the newest messages."""
    if not view.may(Action.MESSAGES_FOLLOW, topic):
        return ""
    found = recent(view.services, view.owner, [topic]).get(topic)
    return str(found.value) if found and isinstance(found.value, str) else ""


def _type(value: str) -> str:
    """The type of a policy for such values."""
    if not value or number_in(value) is not None:
        return "number"
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        return "text"
    return "json"


def _one_more(value: str) -> str:
    """A value that differs a little from the last, so that the plot has a line."""
    number = number_in(value) if value else 21.5
    return value if number is None else f"{number + 0.5:.6g}"


def _free(view: View, name: str) -> str:
    """A name that no policy of the owner has."""
    taken = {one.name for one in view.services.catalog.policies(view.owner)}
    names = chain([name], (f"{name[:60]}-{number}" for number in count(2)))
    return next(one for one in names if one not in taken)


def _plotted(view: View, kept: list[str]) -> str:
    """A policy of numbers over time among those; empty if there is none."""
    for stored in view.services.catalog.policies(view.owner):
        document = stored.document
        if (
            stored.name in kept
            and document["type"] == "number"
            and KINDS[document["keep"]].answers != "values"
        ):
            return stored.name
    return ""
