from hypothesis import given
from hypothesis import strategies as st

from lakebed.vocabulary.attributes import numbered


@given(st.lists(st.sampled_from("abcdefgh") | st.text(max_size=3), max_size=40))
def test_values_are_numbered_in_the_order_of_their_first_places(values: list[str]) -> None:
    codes, table = numbered(values)
    assert [table[code] for code in codes] == values
    assert list(table) == list(dict.fromkeys(values))
