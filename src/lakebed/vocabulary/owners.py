"""Owners: the name spaces of topics, policies, data, limits and bills.

An owner is an immutable slug. Nothing composes one out of other names or reads names out of it:
units, users and organisations are rows and grants of their own. As it holds no slash, keys on the
disk such as `OWNER/POLICY@VERSION` can be read from the right without doubt.

Earlier versions took other names as well (`Plant_A`). What they made keeps working; only what is
new must be a slug.
"""

import re

LONGEST = 39  # characters

NO_SLUG = f"it is 1 to {LONGEST} lower-case letters, digits and hyphens, the first no hyphen"
"""What is wrong with other names, as a sentence."""

_SLUG = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST - 1}}}")


def is_slug(owner: str) -> bool:
    """Whether a new owner may have this name."""
    return _SLUG.fullmatch(owner) is not None


def check_known(owner: str) -> str:
    """The owner, if any version ever allowed its name.

    Raises:
        ValueError: a sentence that says why not.
    """
    if not owner or "\0" in owner:
        raise ValueError("the name of an owner is not empty and has no character U+0000")
    return owner
