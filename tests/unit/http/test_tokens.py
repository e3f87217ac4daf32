"""Every form of an Authorization header that clients send gives the same token."""

import pytest

from lakebed.http.tokens import token_in
from lakebed.vocabulary.errors import Unauthenticated


@pytest.mark.parametrize(
    "header",
    [
        b"Bearer s3cret",
        b"bearer  s3cret ",
        b"Token s3cret",
        b"TOKEN s3cret",
        b"Basic YW5uOnMzY3JldA==",  # ann:s3cret
        b"basic OnMzY3JldA==",  # :s3cret
        b"Basic czNjcmV0Og==",  # s3cret: as curl -u sends a token alone
        b"Basic czNjcmV0",  # without a colon
    ],
)
def test_a_token_is_read_in_each_form(header: bytes) -> None:
    assert token_in(header) == "s3cret"


def test_a_password_may_have_colons() -> None:
    assert token_in(b"Basic YTpiOmM=") == "b:c"  # a:b:c


@pytest.mark.parametrize(
    "header", [b"", b"Bearer", b"Tokens x", b"Digest x", b"Basic a", b"Basic \xff"]
)
def test_another_header_holds_none(header: bytes) -> None:
    with pytest.raises(Unauthenticated):
        token_in(header)
