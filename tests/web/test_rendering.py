"""Texts of others cannot pose as other texts, whichever template shows them."""

from lakebed.web import rendering


def shown(html: str) -> str:
    return rendering._SHOWN.sub(rendering._show, html)


def test_what_turns_or_hides_text_is_shown_as_it_is_written() -> None:
    assert shown("<p>a\u202eb</p>") == "<p>a\\u202eb</p>"
    assert shown("<p>a\x00\x1b\u2066\ufeff</p>") == "<p>a\\u0000\\u001b\\u2066\\ufeff</p>"


def test_values_and_what_can_be_edited_stay_as_they_are() -> None:
    for html in (
        "<input value='\u202e'>",
        "<textarea name=x>\n\u202e\x1b</textarea>",
        '<script type="application/json">"\u2028"</script>',
        "<p>1\u202f234\u00a0GiB\tand\nmore 👩‍👧 می‌خواهم</p>",
    ):
        assert shown(html) == html
