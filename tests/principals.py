"""Principals of tokens, as the identification makes them."""

from lakebed.access.principals import Principal
from lakebed.access.subjects import SharesByAudience, principal_of
from lakebed.ports.accounts.credentials import TokenSubject
from lakebed.ports.accounts.tokens import StoredToken


def of_token(token: StoredToken) -> Principal:
    """The principal of a token that no user made, where nothing is shared."""
    found = principal_of(TokenSubject(token), SharesByAudience(()))
    assert found is not None
    return found
