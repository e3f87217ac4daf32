"""What the search for hostile strings in pages finds, on pages that have them."""

import pytest

from tests.web.hostile import STRINGS, Page


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("<p><lb-pwned></p>", "became an element"),
        ("<p title='' lb-pwned>x</p>", "became an element"),
        ("<p onclick='x()'>x</p>", "script or style"),
        ("<p style='color: red'>x</p>", "script or style"),
        ("<script>1</script>", "without a source"),
        ('<script type=application/json>"</p>"</script>', "markup"),
        ("<a href=' javascript:x()'>x</a>", "runs something"),
        ("<a href='//evil.example'>x</a>", "another host"),
        ("<p>\N{RIGHT-TO-LEFT OVERRIDE}</p>", "is shown as it is"),
        ("<p>\x1b</p>", "is shown as it is"),
        ("<p>1787569</p>", "computed"),
    ],
)
def test_what_must_not_be_there_is_found(html: str, told: str) -> None:
    (wrong,) = Page(html).wrong
    assert told in wrong


def test_escaped_text_is_all_right_and_forms_are_read() -> None:
    found = Page(
        "<p>&lt;lb-pwned&gt;</p><a href='/units?q=%3Clb-pwned%3E'>x</a>"
        "<form method=post action=/save><input name=a value=1><input type=checkbox name=b>"
        "<textarea name=c>some\n\N{RIGHT-TO-LEFT OVERRIDE}</textarea>"
        "<select name=d><option value=x><option value=y selected></select></form>"
    )
    assert found.wrong == []
    assert found.links == ["/units?q=%3Clb-pwned%3E"]
    (form,) = found.forms
    assert (form.action, form.method, form.texts) == ("/save", "post", ["a", "c"])
    assert form.values == {"a": "1", "c": "some\n\N{RIGHT-TO-LEFT OVERRIDE}", "d": "y"}


def test_every_string_stands_for_itself() -> None:
    assert len(set(STRINGS)) == len(STRINGS)
