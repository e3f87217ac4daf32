"""Owners: the name spaces of topics, policies, data, limits and bills.

An owner is an immutable slug. No code composes it out of other names, or parses it: units, users
and organisations are rows and grants of their own. As it contains no slash, keys on the disk such
as `OWNER/POLICY@VERSION` are unambiguous.

Earlier versions accepted other names as well (`Plant_A`). Existing owners of such a name keep
working; a new one must be a slug.
"""

import re

LONGEST = 39  # characters

NO_SLUG = f"it is 1 to {LONGEST} lower-case letters, digits and hyphens, the first no hyphen"
"""A sentence for errors that says which names are allowed."""

_SLUG = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST - 1}}}")


def is_slug(owner: str) -> bool:
    """Whether a new owner may have this name."""
    return _SLUG.fullmatch(owner) is not None


def check_known(owner: str) -> str:
    """Return the owner if any version of Lakebed has allowed its name.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    if not owner or "\0" in owner:
        raise ValueError("the name of an owner is not empty and has no character U+0000")
    return owner
