"""Dead letters: messages on which a policy failed; look at them, send them again, drop them."""

from base64 import b64decode
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.routes import dead_letters, refusals
from lakebed.web import sentences
from lakebed.web.figures_of_parts import refused
from lakebed.web.navigation import Page
from lakebed.web.page import FormDep, Pages, View, Viewing
from lakebed.web.reasons import REFUSED
from lakebed.web.words import mark as _

PAGE = Page(
    "dead-letters", "/dead-letters", _("Dead letters"), "accounts", 30, Action.DEAD_LETTERS_READ
)
router = Pages()
Reader = Annotated[View, Viewing(Action.DEAD_LETTERS_READ, PAGE)]
Sender = Annotated[View, Viewing(Action.DEAD_LETTERS_RESEND, PAGE)]
Dropper = Annotated[View, Viewing(Action.DEAD_LETTERS_DROP, PAGE)]
Choice = Annotated[str, Query(max_length=65_535)]


@router.get("/dead-letters")
def show(view: Reader, topic: Choice = "", policy: Choice = "", reason: Choice = "") -> Response:
    """The newest, of a topic, policy or reason if one is named."""
    found = dead_letters.list_letters(
        view.services, view.caller, 200, topic or None, policy or None, reason or None
    )
    reader = view.caller.to(Action.REFUSALS_READ)
    return view.render(
        "dead_letters.html",
        found=found,
        topic=topic,
        policy=policy,
        reason=reason,
        text=text,
        reason_of=partial(_reason, view),
        refused=refusals.list_refusals(view.services, reader, limit=50)["refusals"],
    )


@router.get("/dead-letters/{id}")
def one(view: Reader, id: str) -> Response:
    """One letter, whole."""
    letter = dead_letters.show_letter(view.services, view.caller, id)
    return view.render("dead_letter.html", letter=letter, text=text)


@router.post("/dead-letters/resend")
async def resend(view: Sender, form: FormDep) -> Response:
    """Send one again, or all that the page shows."""
    if form.text("id"):
        found = await dead_letters.resend_letter(view.services, view.caller, form.text("id"))
    else:
        found = await dead_letters.resend_letters(view.services, view.caller, **_chosen(form))
    told = view.words(
        "Sent %(num)s message again.", "Sent %(num)s messages again.", found["resent"]
    )
    return view.go("/dead-letters", told)


@router.post("/dead-letters/drop")
def drop(view: Dropper, form: FormDep) -> Response:
    """Drop one, or all that the page shows; first say how many will be gone."""
    if form.text("id"):
        dead_letters.drop_letter(view.services, view.caller, form.text("id"))
        return view.go("/dead-letters", view.word(_("Dropped.")))
    chosen = _chosen(form)
    if not form.flag("sure"):
        view.caller.changes_nothing()
        reader = view.caller.to(Action.DEAD_LETTERS_READ)
        found = dead_letters.list_letters(view.services, reader, 1, **chosen)
        return view.render("dead_letters_drop.html", chosen=chosen, found=found)
    found = dead_letters.drop_letters(view.services, view.caller, **chosen)
    told = view.words("Dropped %(num)s message.", "Dropped %(num)s messages.", found["dropped"])
    return view.go("/dead-letters", told)


def _chosen(form: Any) -> dict[str, str | None]:
    chosen = {name: form.text(name) or None for name in ("topic", "policy", "reason")}
    if not any(chosen.values()):
        chosen["topic"] = "#"
    return chosen


def _reason(view: View, told: str) -> str:
    """A reason as a sentence, where it begins with the name of why a door refused a message."""
    name, colon, rest = told.partition(": ")
    if not colon or name not in REFUSED:
        return told
    return f"{refused(view, name)}: {sentences.told(view.language, rest)}"


def text(letter: dict[str, Any]) -> str:
    """The payload as text; bytes that are none as they are written in Python."""
    payload = b64decode(letter["payload_base64"])
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return repr(payload)[2:-1]
