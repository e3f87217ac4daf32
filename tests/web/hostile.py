"""Strings that others may send, and what a page must have made of them: text.

Add here what once got through.
"""

import re
from html.parser import HTMLParser

STRINGS = (
    "<lb-pwned onclick=pwned()>",
    '"><img src=x onerror=pwned()><lb-pwned>',
    "'><svg/onload=pwned()><lb-pwned>",
    "</script><script>pwned()</script><lb-pwned>",
    "</textarea></title></style><lb-pwned>",
    "--><lb-pwned><!--",
    "' onfocus=pwned() autofocus lb-pwned='",
    "&lt;lb-pwned&gt;&#60;lb-pwned&#62;",
    "javascript:pwned()",
    "data:text/html,<script>pwned()</script>",
    "{{ 1337*1337 }}{% raw %}${1337*1337}#{1337*1337}",
    "\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe\N{POP DIRECTIONAL FORMATTING}",
    "\N{RIGHT-TO-LEFT ISOLATE}evil\N{LEFT-TO-RIGHT OVERRIDE}",
    "zero\N{ZERO WIDTH SPACE}width\N{ZERO WIDTH NO-BREAK SPACE}\N{SOFT HYPHEN}",
    "esc \x1b[31mred\x07\x08",
    "\x00\x01\x7f\x85",
    "\u2028line\u2029paragraph",
    "line\r\nSet-Cookie: pwned=1",
    "%3Clb-pwned%3E%0d%0a",
    "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334" * 8,
    "مرحبا بالعالم",
    "🏴\U000e0067\U000e0062\U000e007f 👩‍👩‍👧",
    '=HYPERLINK("http://evil.example")',
    "__proto__",
    "../../../../etc/passwd",
    "' OR 1=1; DROP TABLE users --",
    "W" * 3000,
)

# what changes how a text is read, or is not seen; line ends and joiners are parts of texts
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_COMPUTED = str(1337 * 1337)


def of_topics() -> list[str]:
    """Those that can be a topic: MQTT forbids wildcards, NUL and empty ones."""
    found = (re.sub(r"[+#\x00-\x1f\x7f-\x9f]", "", text)[:200] for text in STRINGS)
    return [f"hostile/{number}/{text}" for number, text in enumerate(found) if text]


class Page(HTMLParser):
    """The elements of a page, and what is wrong with them.

    Attributes:
        wrong: what the page must not have.
        links: addresses that it leads to.
        forms: with their fields, as a browser would send them.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._within: list[str] = []
        if _COMPUTED in html:
            self.wrong.append("a template computed what was sent")
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._look(tag, values)
        if tag in ("script", "textarea", "style", "title"):
            self._within.append(tag)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").lower()))
        elif tag in ("input", "textarea", "select", "button") and self.forms:
            self.forms[-1].add(tag, values)
        elif tag == "option" and self.forms:
            self.forms[-1].choose(values)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        within = self._within[-1] if self._within else ""
        if within == "textarea" and self.forms:
            self.forms[-1].type_in(data)
        elif within == "script" and data.strip():
            self._json_only(data)
        elif hidden := _HIDDEN.search(data):
            self.wrong.append(f"{hidden[0]!r} is shown as it is in {data[:80]!r}")

    def _json_only(self, data: str) -> None:
        if "<" in data:
            self.wrong.append(f"a script has markup in it: {data[:80]!r}")

    def _look(self, tag: str, values: dict[str, str]) -> None:
        if "pwned" in tag or any("pwned" in name for name in values):
            self.wrong.append(f"what was sent became an element: {tag} {values}")
        if any(name.startswith("on") or name == "style" for name in values):
            self.wrong.append(f"an element has script or style in it: {tag} {values}")
        if tag == "script" and "src" not in values and values.get("type") != "application/json":
            self.wrong.append("a script without a source")
        for name in ("href", "src", "action", "formaction"):
            if re.match(r"\s*(javascript|data|vbscript):", values.get(name, ""), re.IGNORECASE):
                self.wrong.append(f"{name} runs something: {values[name]}")
            if re.match(r"(https?:)?//", values.get(name, "")):
                self.wrong.append(f"{name} leads to another host: {values[name]}")


class Form:
    """The fields of a form.

    Attributes:
        texts: names of those into which anything can be typed.
    """

    def __init__(self, action: str, method: str) -> None:
        self.action, self.method = action, method
        self.values: dict[str, str] = {}
        self.texts: list[str] = []
        self._last = ""

    def add(self, tag: str, values: dict[str, str]) -> None:
        name, kind = values.get("name", ""), values.get("type", "text" if tag == "input" else tag)
        self._last = name
        if not name or (kind in ("checkbox", "radio") and "checked" not in values):
            return
        self.values.setdefault(name, values.get("value", ""))
        if kind in ("text", "search", "textarea", "url", "email", "number", "password"):
            self.texts.append(name)

    def choose(self, values: dict[str, str]) -> None:
        if self._last and ("selected" in values or not self.values.get(self._last)):
            self.values[self._last] = values.get("value", "")

    def type_in(self, text: str) -> None:
        if self._last in self.values:
            self.values[self._last] += text
