"""Small pages that work without the web interface: a form, or a sentence. They have no script."""

import base64
import hashlib
import html
from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi.responses import HTMLResponse

from lakebed.vocabulary.errors import BadRequest

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:10vh auto;padding:1rem}"
    "input,button{font:inherit;display:block;width:100%;box-sizing:border-box;padding:.5rem;"
    "margin:.3rem 0 1rem;border:1px solid GrayText;border-radius:.3rem}"
    "button{background:#1a5fb4;border-color:#1a5fb4;color:#fff;font-weight:600;cursor:pointer}"
    "header{opacity:.75}h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 1rem}"
    "[role=alert]{border-left:.25rem solid #c01c28;padding-left:.75rem;font-weight:600}"
    "h1,p,label{overflow-wrap:anywhere}:root{color-scheme:light dark}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",  # the address has a secret in it
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport"'
    ' content="width=device-width"><title>{title} - Lakebed</title><style>{style}</style>'
    "<header>Lakebed</header><h1>{title}</h1>{body}</html>"
)


def say(title: str, text: str, status: int = 200) -> HTMLResponse:
    """A page of one sentence, under a heading."""
    return _page(title, f"<p>{html.escape(_sentence(text))}</p>", status)


def form(
    title: str,
    says: str,
    fields: Mapping[str, tuple[str, str, str]],
    button: str,
    wrong: str = "",
    status: int = 200,
    *,
    given: Mapping[str, str] | None = None,
    leads_to: str = "",
) -> HTMLResponse:
    """A form that is sent to its own address.

    Args:
        fields: by name the label, the type, and what password stores know it by.
        button: what sending it does.
        wrong: what was wrong with it last time.
        given: what was in the fields last time; passwords and codes are not shown again.
        leads_to: an origin that the answer redirects to: browsers ask the page's policy there, too.
    """
    inputs = "".join(
        f'<label>{html.escape(label)}<input name="{name}" type="{type}" autocomplete="{known}"'
        f"{_filled(known, (given or {}).get(name, ''))} required></label>"
        for name, (label, type, known) in fields.items()
    )
    told = f'<p role="alert">{html.escape(_sentence(wrong))}</p>' if wrong else ""
    page = _page(
        title,
        f'<p>{html.escape(says)}</p>{told}<form method="post">{inputs}'
        f"<button>{html.escape(button)}</button></form>",
        status,
    )
    if leads_to:
        page.headers["Content-Security-Policy"] = f"{_POLICY} {leads_to}"
    return page


def fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form that was sent.

    Raises:
        BadRequest: it is none.
    """
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=16))
    except ValueError:
        raise BadRequest("body", "it is no form") from None


def _page(title: str, body: str, status: int) -> HTMLResponse:
    page = _PAGE.format(style=_STYLE, title=html.escape(title), body=body)
    return HTMLResponse(page, status, _HEADERS)


def _filled(known: str, value: str) -> str:
    if known != "username":
        return ""
    # names are of lower-case letters: a phone must not begin them with a capital
    shown = f' value="{html.escape(value)}"' if value else ""
    return f' autocapitalize="none" spellcheck="false"{shown}'


def _sentence(text: str) -> str:
    """An error's text as a sentence of a page."""
    begun = text[:1].upper() + text[1:]
    return begun if begun.endswith((".", "?", "!")) else f"{begun}."
