"""Relays: their status and their documents; pause, resume, rewind, backfill, delete."""

from typing import Annotated, Any

from fastapi import Response

from lakebed.access.actions import Action
from lakebed.api.preconditions import ANYTHING, seen
from lakebed.api.routes import relays as routes
from lakebed.documents.sections import read_entries
from lakebed.ports.catalog.relays import StoredRelay
from lakebed.relays import documents, targets
from lakebed.relays.letters import policy_of
from lakebed.relays.status import status_of
from lakebed.vocabulary.errors import BadRequest, Conflict, Invalid, Outdated, Problem
from lakebed.web import drafts
from lakebed.web.navigation import Page
from lakebed.web.page import REFUSED, FormDep, Pages, View, Viewing, problems_of, shown_problems
from lakebed.web.rendering import as_yaml
from lakebed.web.words import mark as _

PAGE = Page("relays", "/relays", _("Relays"), "data", 27, Action.RELAYS_READ)
router = Pages()

Reader = Annotated[View, Viewing(Action.RELAYS_READ, PAGE)]
Writer = Annotated[View, Viewing(Action.RELAYS_WRITE, PAGE)]

STATES = {
    "running": (_("running"), ""),
    "starting": (_("starting"), ""),
    "retrying": (_("trying again"), "warn"),
    "paused": (_("paused"), "warn"),
    "stopped": (_("stopped"), "bad"),
}
"""Words and the kind of badge of each state."""

CIRCUITS = {
    "closed": _("deliveries go through"),
    "half-open": _("one delivery is tried"),
    "open": _("the target failed, and is asked again after a pause"),
}

WHATS = {
    "finished": _("windows that have ended"),
    "changed": _("windows and last values as they change"),
    "kept": _("records that it kept"),
}

BACKFILLS = {
    "reading": _("reading"),
    "delivering": _("delivering"),
    "delivered": _("delivered"),
    "given up": _("given up"),
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "http": {"http": "https://example.com/hook", "sign": "secret:hook"},
    "kafka": {"kafka": "kafka://broker:9092/alarms", "key": "{topic}"},
    "postgres": {"postgres": "secret:warehouse", "table": "alarms", "key": ["id"]},
    "mqtt": {"mqtt": "mqtts://broker:8883", "topic": "mirror/{topic}", "qos": 1},
    "lakebed": {"lakebed": "https://other.example.com", "token": "secret:other"},
    "objects": {"objects": "exports/", "format": "parquet", "every": "1h"},
    "influx": {"influx": "https://influx.example.com", "token": "secret:influx"},
    "prometheus": {"prometheus": "https://metrics.example.com/api/v1/write"},
}
"""By target what stands under `to` of a relay that somebody begins to write."""


@router.get("/relays")
def show_list(view: Reader) -> Response:
    """All relays of an owner, each with its status."""
    found = routes.seen(view.services, view.caller)
    return view.render(
        "relays.html",
        relays=[(relay, _status(view, relay), to_of(relay)) for relay in found],
        states=STATES,
        letters=policy_of,
        targets=[name for name in targets.kinds() if name in EXAMPLES],
    )


@router.get("/relays/new")
def new(view: Writer, target: str = "") -> Response:
    """The document of a relay that is not there yet."""
    known = [name for name in targets.kinds() if name in EXAMPLES]
    chosen = target if target in known else known[0]
    document = {"name": "alarms", "from": {"topics": ["alarms/#"]}, "to": EXAMPLES[chosen]}
    return _editor(view, "", as_yaml(document), "")


@router.post("/relays")
def create(view: Writer, form: FormDep) -> Response:
    """Write a relay that is not there yet."""
    return _write(view, "", form.raw("yaml"), "")


@router.get("/relays/{name}")
def show(view: Reader, name: str) -> Response:
    """The status of a relay, by partition, and its document."""
    relay = routes.found(view.services, view.caller, name)
    return _relay(view, relay)


@router.get("/relays/{name}/edit")
def edit(view: Writer, name: str) -> Response:
    """The document of a relay, to be changed."""
    relay = routes.found(view.services, view.caller.to(Action.RELAYS_READ), name)
    return _editor(view, name, as_yaml(dict(relay.document)), str(relay.version))


@router.post("/relays/{name}/save")
def save(view: Writer, name: str, form: FormDep) -> Response:
    """Write the document, unless somebody has changed it meanwhile."""
    return _write(view, name, form.raw("yaml"), form.text("etag"))


@router.post("/relays/{name}/pause")
def pause(view: Writer, name: str, form: FormDep) -> Response:
    """Deliver nothing until it is resumed."""
    view.caller.note(f"relays/{name}")
    routes.pause_relay(view.services, view.caller, name, Response())
    return view.go(f"/relays/{name}", view.word(_("%(name)s is paused."), name=name))


@router.post("/relays/{name}/resume")
def resume(view: Writer, name: str, form: FormDep) -> Response:
    """Go on."""
    view.caller.note(f"relays/{name}")
    routes.resume_relay(view.services, view.caller, name, Response())
    return view.go(f"/relays/{name}", view.word(_("%(name)s goes on."), name=name))


@router.post("/relays/{name}/rewind")
def rewind(view: Writer, name: str, form: FormDep) -> Response:
    """Pass on again what came from a time on."""
    view.caller.note(f"relays/{name}")
    try:
        asked = routes.Rewind(to=form.text("to"))
        answer = routes.rewind_relay(view.services, view.caller, name, asked, Response())
    except (BadRequest, Invalid) as error:
        relay = routes.found(view.services, view.caller.to(Action.RELAYS_READ), name)
        return _relay(view, relay, problems_of(error), error.status, form.text("to"))
    reaches = answer["reaches"] or form.text("to")
    told = view.word(
        _("%(name)s passes on again what came from %(time)s on."), name=name, time=reaches
    )
    return view.go(f"/relays/{name}", told)


@router.post("/relays/{name}/backfill")
def backfill(view: Writer, name: str, form: FormDep) -> Response:
    """Pass on what the policy has kept from a time on."""
    view.caller.note(f"relays/{name}")
    asked = routes.From.model_validate({"from": form.text("from")})
    try:
        routes.backfill_relay(view.services, view.caller, name, asked, Response())
    except (*REFUSED, Conflict) as error:
        relay = routes.found(view.services, view.caller.to(Action.RELAYS_READ), name)
        return _relay(view, relay, problems_of(error), error.status, fill_from=form.text("from"))
    return view.go(f"/relays/{name}", view.word(_("What was kept is passed on.")))


@router.post("/relays/{name}/backfill/cancel")
def cancel_backfill(view: Writer, name: str, form: FormDep) -> Response:
    """Cancel a backfill."""
    view.caller.note(f"relays/{name}")
    routes.cancel_backfill(view.services, view.caller, name)
    told = _("The backfill is cancelled; what was delivered stays delivered.")
    return view.go(f"/relays/{name}", view.word(told))


@router.post("/relays/{name}/delete")
def delete(view: Writer, name: str, form: FormDep) -> Response:
    """Delete a relay; first say what is not passed on any more."""
    view.caller.note(f"relays/{name}")
    if not form.flag("sure"):
        view.caller.changes_nothing()
        relay = routes.found(view.services, view.caller.to(Action.RELAYS_READ), name)
        return view.render("relay_delete.html", relay=relay, relay_status=_status(view, relay))
    routes.delete_relay(view.services, view.caller, name, ANYTHING)
    return view.go("/relays", view.word(_("Deleted the relay %(name)s."), name=name))


def to_of(relay: StoredRelay) -> tuple[str, str]:
    """The kind of a relay's target, and what tells it from others of the kind."""
    to = relay.document["to"]
    kind = next(key for key in to if key in targets.kinds())
    more = [to[key] for key in ("table", "topic", "format") if isinstance(to.get(key), str)]
    return kind, ", ".join([str(to[kind]), *more])


def _status(view: View, relay: StoredRelay) -> dict[str, Any]:
    return status_of(relay, view.services.catalog, view.services.journal)


def _relay(
    view: View,
    relay: StoredRelay,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
    to: str = "",
    fill_from: str = "",
) -> Response:
    source = relay.document["from"]
    return view.render(
        "relay.html",
        status,
        relay=relay,
        source=source,
        gives=WHATS[source["what"]] if "policy" in source else "",
        relay_status=_status(view, relay),
        to=to_of(relay),
        spec=documents.spec_of(relay),
        yaml=as_yaml(dict(relay.document)),
        states=STATES,
        circuits=CIRCUITS,
        backfills=BACKFILLS,
        letters=policy_of(relay.name),
        problems=problems,
        back_to=to,
        fill_from=fill_from,
    )


def _write(view: View, name: str, text: str, etag: str) -> Response:
    """Write the relay in a text, and show it; or the text again, with its mistakes."""
    view.caller.note(f"relays/{name}")
    try:
        entries = read_entries(text, [documents.section()])["relays"]
        if len(entries) != 1:
            what = f"one relay is edited here, not {len(entries)}"
            raise Invalid(Problem("relays", what))
        document: dict[str, Any] = entries[0].value
        view.caller.note(f"relays/{document['name']}")
        if name and document["name"] != name:
            what = f"the relay is named {name!r}: a new name is a new relay"
            raise Invalid(Problem("name", what))
        expected = seen(etag) if name else ANYTHING
        routes.write(view.services, view.caller, document, create=not name, expected=expected)
    except Outdated:
        told = _("Somebody has changed this relay meanwhile: yours is below, save again to put it"
                 " in the place of theirs.")  # fmt: skip
        there = view.services.catalog.relay(view.owner, name)
        newer = str(there.version) if there is not None else ""
        return _editor(view, name, text, newer, (Problem("", view.word(told)),), 412)
    except (*REFUSED, Conflict) as error:
        return _editor(view, name, text, etag, problems_of(error), error.status)
    told = view.word(_("Saved. What comes from now on is passed on.") if not name else _("Saved."))
    return view.go(f"/relays/{document['name']}", told)


def _editor(
    view: View,
    name: str,
    text: str,
    etag: str,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> Response:
    marked = drafts.located(text, problems, "relays")
    policies = [policy.name for policy in view.services.catalog.policies(view.owner)]
    return view.render(
        "relay_edit.html",
        status,
        name=name,
        yaml=text,
        etag=etag,
        problems=problems,
        marked=shown_problems(view, marked),
        completions=completions(policies),
        targets=[kind for kind in targets.kinds() if kind in EXAMPLES],
    )


def completions(policies: list[str]) -> dict[str, Any]:
    """What an editor of the YAML offers: see `drafts.completions`."""
    kinds = {name: targets.kind(name) for name in targets.kinds()}
    of_targets = {key: text for kind in kinds.values() for key, text in kind.keys.items()}
    parts = drafts.completions()["keys"]
    return {
        "keys": {
            "": dict.fromkeys(documents.KEYS, ""),
            "from": {"topics": "", "policy": "", "what": ""},
            "to": {**dict.fromkeys((*kinds, *documents.PACE), ""), **of_targets},
            "retry": {"first": "", "most": ""},
            "filter": parts["filter"],
            "transform": parts["transform"],
        },
        "values": {"policy": policies, "what": list(documents.WHATS)},
        "kinds": {},
    }
