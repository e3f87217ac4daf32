"""What the provider tells a client of a user."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.users import User

SCOPES = ("openid", "profile", "email")
CLAIMS = (
    "sub", "name", "preferred_username", "email", "email_verified", "role", "orgs", "owners",
)  # fmt: skip


def claims_of(user: User, members: Sequence[Member], scope: str, issuer: str) -> dict[str, Any]:
    """The claims of a user, as far as the scope asks for them.

    `orgs` has each owner twice, as `OWNER` and as `OWNER/ROLE`, so that a client such as Grafana
    can map both to organisations of its own. Lakebed knows no e-mail addresses; clients that want
    one get `NAME@HOST`, which is not verified.
    """
    claims: dict[str, Any] = {"sub": user.name}
    asked = scope.split()
    if "profile" in asked:
        orgs = sorted({*(m.owner for m in members), *(f"{m.owner}/{m.role.word}" for m in members)})
        claims |= {
            "name": user.title or user.name,
            "preferred_username": user.name,
            "role": "admin" if user.admin else "user",
            "orgs": orgs,
            "owners": {member.owner: member.role.word for member in members},
        }
    if "email" in asked:
        host = urlsplit(issuer).hostname
        claims |= {"email": f"{user.name}@{host}", "email_verified": False}
    return claims
