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
    "margin:.3rem 0 1rem}:root{color-scheme:light dark}"
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
    ' content="width=device-width"><title>Lakebed</title><style>{style}</style>'
    "<h1>Lakebed</h1>{body}</html>"
)


def say(text: str, status: int = 200) -> HTMLResponse:
    """A page of one sentence."""
    return _page(f"<p>{html.escape(text)}</p>", status)


def form(
    says: str,
    fields: Mapping[str, tuple[str, str, str]],
    wrong: str = "",
    status: int = 200,
    *,
    leads_to: str = "",
) -> HTMLResponse:
    """A form that is sent to its own address.

    Args:
        fields: by name the label, the type, and what password stores know it by.
        wrong: what was wrong with it last time.
        leads_to: an origin that the answer redirects to: browsers ask the page's policy there, too.
    """
    inputs = "".join(
        f'<label>{html.escape(label)}<input name="{name}" type="{type}" autocomplete="{known}"'
        " required></label>"
        for name, (label, type, known) in fields.items()
    )
    told = f'<p role="alert"><strong>{html.escape(wrong)}</strong></p>' if wrong else ""
    page = _page(
        f'<p>{html.escape(says)}</p>{told}<form method="post">{inputs}<button>OK</button></form>',
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


def _page(body: str, status: int) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(style=_STYLE, body=body), status, _HEADERS)
