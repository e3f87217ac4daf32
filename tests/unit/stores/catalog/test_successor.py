from hypothesis import example, given
from hypothesis import strategies as st

from lakebed.stores.catalog.last_values import successor

# few characters, so that texts share beginnings; both sides of the surrogates and the very last
texts = st.text(st.sampled_from("ab/%_\ud7ff\ue000\U0010ffff"), max_size=5)


@given(texts, texts)
@example("a\ud7ff", "a\ue000")
@example("\U0010ffff", "\U0010ffffa")
def test_exactly_the_texts_with_the_prefix_lie_between_it_and_its_successor(
    prefix: str, text: str
) -> None:
    end = successor(prefix)
    raw = text.encode()
    between = prefix.encode() <= raw and (end is None or raw < end.encode())
    assert between == text.startswith(prefix)
