"""Roles: what a member may do in the name space of an owner."""

from enum import IntEnum


class Role(IntEnum):
    """What a grant allows on its topics; each role includes the ones before it."""

    DEVICE = 1
    """Publishes, subscribes and reads."""
    VIEWER = 2
    """Also reads policies and the account of messages."""
    EDITOR = 3
    """Also changes policies and units, and settles dead letters."""
    MANAGER = 4
    """Also administers the owner itself: members, tokens, shares, limits."""

    @property
    def word(self) -> str:
        """As people write it: `viewer`."""
        return self.name.lower()


MEMBERS = {role.word: role for role in (Role.VIEWER, Role.EDITOR, Role.MANAGER)}
"""The roles that a member of an owner can have, by the word that people write."""

TOKENS = {role.word: role for role in Role}
"""The roles that a token can have."""
