"""Policies: the list with what each keeps and weighs, and an editor as form and YAML."""

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi import Query, Response
from fastapi.responses import JSONResponse

from lakebed.access.actions import Action
from lakebed.api.preconditions import ANYTHING, seen
from lakebed.api.routes import fills, flow, policies
from lakebed.documents.sections import path_text
from lakebed.kinds import KINDS
from lakebed.kinds.tables import TYPES
from lakebed.policies.document import parse, warnings_of
from lakebed.queries import reading
from lakebed.vocabulary.errors import Conflict, Denied, Invalid, Outdated, Problem
from lakebed.vocabulary.times import to_rfc3339
from lakebed.web import drafts, guard, points
from lakebed.web.navigation import Page
from lakebed.web.page import Form, FormDep, Pages, View, Viewing, shown_problems
from lakebed.web.reasons import WHY
from lakebed.web.words import mark as _

PAGE = Page("policies", "/policies", _("Policies"), "data", 30, Action.POLICIES_READ)
router = Pages()

KEEPS = {
    "last_value": _("the last value"),
    "last_n": _("the newest records"),
    "window": _("every record, for a time"),
    "archive": _("every record, for ever"),
    "aggregate": _("a summary of each window"),
}
SPANS = ("1h", "15m", "6h", "24h", "7d", "")
"""How far a preview may look back, the usual first; "" for all that the journal holds."""

_POINTS = 400  # parts of a preview's plot

TYPES_SHOWN = {
    "number": _("number"),
    "integer": _("whole number"),
    "boolean": _("true or false"),
    "text": _("text"),
    "json": _("JSON"),
}
Reader = Annotated[View, Viewing(Action.POLICIES_READ, PAGE)]
Writer = Annotated[View, Viewing(Action.POLICIES_WRITE, PAGE)]
Previewer = Annotated[View, Viewing(Action.POLICIES_PREVIEW, PAGE)]
Deleter = Annotated[View, Viewing(Action.POLICIES_DELETE, PAGE)]
Filler = Annotated[View, Viewing(Action.POLICIES_FILL, PAGE)]

FILLS = {
    "running": _("is being filled"),
    "done": _("is filled"),
    "cancelled": _("ended"),
    "failed": _("failed"),
}


@router.get("/policies")
def show(view: Reader) -> Response:
    """All policies in force, with what each has kept and weighs."""
    found = policies.list_policies(view.services, view.caller)["policies"]
    kept: dict[str, Any] = {}
    if view.may(Action.FLOW_READ):
        counted = flow.flow(view.services, view.caller.to(Action.FLOW_READ), "policy")
        kept = {row["policy"]: row for row in counted["policies"]}
    rows, size = weight(view)
    return view.render(
        "policies.html", policies=found, kept=kept, rows=rows, size=size, keeps=KEEPS
    )


def weight(view: View) -> tuple[Counter[str], Counter[str]]:
    """Rows and bytes by the name of the policy, of topics that the caller may read."""
    rows: Counter[str] = Counter()
    size: Counter[str] = Counter()
    if view.may(Action.USAGE_READ):
        caller = view.caller.to(Action.USAGE_READ)
        for one in reading.usage(view.services.series, view.services.catalog, view.owner):
            if caller.may(one["topic"]):
                rows[one["policy"]] += one["rows"]
                size[one["policy"]] += one["bytes"]
    return rows, size


@router.get("/policies/new")
def new(view: Writer, topic: Annotated[str, Query(max_length=65_535)] = "") -> Response:
    """The editor with a draft for a topic."""
    view.caller.changes_nothing()
    return _editor(view, drafts.begun(topic))


@router.get("/policies/edit/{name}")
def edit(view: Reader, name: str) -> Response:
    """The editor with the policy in force, and its versions."""
    response = Response()
    document = policies.read_policy(view.services, view.caller, name, response)
    return _editor(view, document, name=name, etag=response.headers["etag"])


@router.post("/policies/draft")
def draft(view: Writer, form: FormDep) -> Response:
    """What one side of the editor says, for the other side; with every mistake."""
    view.caller.changes_nothing()
    try:
        document = _document(form)
    except Invalid as error:
        return _json({"problems": shown_problems(view, error.problems)})
    text = drafts.written(document)
    seen = form.raw("yaml") if form.text("side") == "yaml" else text
    found = drafts.located(seen, _mistakes(view, document))
    fields = drafts.fields_of(document)
    answer = {"yaml": text, "fields": fields, "problems": shown_problems(view, found)}
    if not found:
        answer["warnings"] = _warnings(view, document, seen)
    return _json(answer)


@router.post("/policies/preview")
def preview(view: Previewer, form: FormDep) -> Response:
    """The editor, with what the draft would have kept of the messages in the journal."""
    view.caller.changes_nothing()
    of = form.text("of", SPANS[0])
    return _answer(
        view,
        form,
        lambda document: _editor(view, document, form=form, preview=_preview(view, document, of)),
    )


@router.post("/policies/save")
def save(view: Writer, form: FormDep) -> Response:
    """Write the draft, unless the policy was changed meanwhile."""
    return _answer(view, form, lambda document: _saved(view, form, document))


@router.post("/policies/delete")
def delete(view: Deleter, form: FormDep) -> Response:
    """Delete a policy; first say what stays."""
    name = form.text("name")
    view.caller.note(f"policies/{name}")
    if not form.flag("sure"):
        view.caller.changes_nothing()
        rows, size = weight(view)
        return view.render("policy_delete.html", name=name, rows=rows[name], size=size[name])
    policies.delete_policy(view.services, view.caller, name, ANYTHING)
    told = _("Deleted the policy %(name)s. What it kept stays readable under its name.")
    return view.go("/policies", view.word(told, name=name))


@router.post("/policies/fill")
def fill(view: Filler, form: FormDep) -> Response:
    """Fill a policy with the last time so long, or with all that the journal holds."""
    name, of = form.text("name"), form.text("of")
    view.caller.note(f"policies/{name}")
    since = policies.back(of) if of else 0
    asked = fills.Wanted.model_validate({"from": to_rfc3339(since)})
    fills.fill_policy(view.services, view.caller, name, asked)
    return view.go(f"/policies/edit/{name}", view.word(_("Keepers fill %(name)s."), name=name))


@router.post("/policies/fill/cancel")
def cancel_fill(view: Filler, form: FormDep) -> Response:
    """End the fill of a policy."""
    name = form.text("name")
    view.caller.note(f"policies/{name}")
    fills.cancel_fill(view.services, view.caller, name)
    told = _("The fill of %(name)s has ended. What it kept stays.")
    return view.go(f"/policies/edit/{name}", view.word(told, name=name))


def _answer(view: View, form: Form, work: Any) -> Response:
    """The editor again with every mistake, unless it works."""
    try:
        document = _document(form)
    except Invalid as error:
        return _editor(view, {}, form=form, problems=error.problems, text=form.raw("yaml"))
    try:
        response: Response = work(document)
    except Outdated:
        told = _("Somebody has changed this policy meanwhile: compare, and save again.")
        response = _editor(view, document, form=form, problems=(Problem("", view.word(told)),))
    except Invalid as error:
        response = _editor(view, document, form=form, problems=error.problems)
    except (Denied, Conflict) as error:
        problems = (Problem("", str(error)),)
        response = _editor(view, document, form=form, problems=problems, status=error.status)
    return response


def _saved(view: View, form: Form, document: dict[str, Any]) -> Response:
    before, name = form.text("before"), str(document.get("name", ""))
    view.caller.note(f"policies/{name}")
    body = msgspec.json.encode(document)
    answered = Response()
    if before and before == name:
        expected = seen(form.text("etag"))
        policies.put_policy(view.services, view.caller, name, body, answered, expected)
        told = _("Saved %(name)s. It takes effect within two seconds.")
    else:
        policies.create_policy(view.services, view.caller, body, answered)
        told = _("Created %(name)s. It takes effect within two seconds.")
    return view.go("/policies", view.word(told, name=name))


def _preview(view: View, document: dict[str, Any], of: str) -> dict[str, Any]:
    """What a draft would have kept, as `parts/preview.html` shows it.

    Raises:
        Invalid: the draft has mistakes.
    """
    found = policies.previewed(view.services, view.caller, document, of, _POINTS)
    shown = found.to_dict() | {"of": of, "examples": {}}
    for one in found.examples:
        told = flow.show_example(one)
        shown["examples"].setdefault(told["reason"], []).append(told)
    lost = shown["filtered"] | {name: shown[name] for name in ("late", "dead_letter")}
    shown["not_kept"] = sorted(((n, why) for why, n in lost.items() if n), reverse=True)
    page = policies.points_of(found)
    if page is not None and len(page.rows):
        topics = list(dict.fromkeys(page.rows["topic"].to_pylist()))
        shown |= {"points": b64encode(points.encode(page)).decode(), "plotted": topics}
    return shown


def _document(form: Form) -> dict[str, Any]:
    """The document of a form that was sent: of the side that was changed last.

    Raises:
        Invalid: its YAML cannot be read.
    """
    document = drafts.read(form.raw("yaml"))
    return document if form.text("side") == "yaml" else drafts.into(document, form)


def _mistakes(view: View, document: dict[str, Any]) -> tuple[Problem, ...]:
    zone = view.services.settings.keeper.timezone
    try:
        policy = parse(document, view.owner, default_timezone=zone)
        view.caller.require(*policy.topics)
    except Invalid as error:
        return error.problems
    except Denied as error:
        return (Problem("topics", str(error)),)
    return ()


def _warnings(view: View, document: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """What is hardly meant in a document without mistakes, with its lines in a text."""
    zone = view.services.settings.keeper.timezone
    policy = parse(document, view.owner, default_timezone=zone)
    around = policies.surroundings(view.services, view.caller)
    found = [Problem(path_text(path), what) for path, what in warnings_of(policy, around)]
    return shown_problems(view, drafts.located(text, found))


def _editor(
    view: View,
    document: dict[str, Any],
    *,
    form: Form | None = None,
    name: str = "",
    etag: str = "",
    problems: tuple[Problem, ...] = (),
    preview: Mapping[str, Any] | None = None,
    text: str | None = None,
    status: int | None = None,
) -> Response:
    before = name if form is None else form.text("before")
    text = drafts.written(document) if text is None else text
    sound = not problems and not _mistakes(view, document)
    return view.render(
        "policy.html",
        status or (422 if problems else 200),
        document=document,
        fields=drafts.fields_of(document),
        yaml=text,
        marked=shown_problems(view, drafts.located(text, problems)),
        doubtful=_warnings(view, document, text) if sound else [],
        completions=drafts.completions(),
        before=before,
        etag=etag if form is None else form.text("etag"),
        problems=problems,
        preview=preview,
        spans=SPANS,
        of=SPANS[0] if form is None else form.text("of", SPANS[0]),
        why=WHY,
        fill=fills.newest(view.services, view.caller, before) if before else None,
        fills=FILLS,
        versions=view.services.catalog.policy_versions(view.owner, before)[::-1] if before else [],
        types=[(one, view.word(TYPES_SHOWN[one])) for one in TYPES],
        kinds=[(one, f"{one}: {view.word(KEEPS[one])}" if one in KEEPS else one) for one in KINDS],
        functions={name: list(kind.functions.get("number", ())) + [
            one for one in kind.functions.get("text", ()) if one not in kind.functions["number"]
        ] for name, kind in KINDS.items() if kind.functions},
        keys=drafts.keys_by_kind(),
        encodings=[(one, one) for one in drafts.completions()["values"]["encoding"][1:]],
    )  # fmt: skip


def _json(answer: dict[str, Any]) -> Response:
    return JSONResponse(answer, headers=guard.HEADERS)
