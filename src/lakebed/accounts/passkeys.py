"""Passkeys (WebAuthn): keys of devices that sign a challenge of ours.

A challenge is sealed and says when it ends and for whom it was made, so none is stored; one that
was used is remembered as a ticket until it ends.
"""

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from lakebed.accounts.tickets import remember_used
from lakebed.ports.accounts.factors import Factor, FactorKind, FactorStore
from lakebed.ports.accounts.tickets import TicketStore
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.errors import BadRequest, Unauthenticated
from lakebed.vocabulary.times import MINUTE, Micros, now

if TYPE_CHECKING:
    from lakebed.system.sealing import Sealer

_PURPOSE = "challenge"
_LASTS: Micros = 5 * MINUTE


def begin_registration(
    sealer: "Sealer", user: User, there: list[Factor], at: str
) -> dict[str, Any]:
    """What a browser passes to `navigator.credentials.create`.

    Args:
        there: passkeys of the user, which are not made again.
        at: the address of the instance.
    """
    options = generate_registration_options(
        rp_id=_host(at),
        rp_name="Lakebed",
        user_name=user.name,
        user_id=user.name.encode(),
        user_display_name=user.title or user.name,
        challenge=_challenge(sealer, user.name),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=f.credential) for f in there],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def registered(
    sealer: "Sealer", tickets: TicketStore, user: str, name: str, credential: Any, at: str
) -> Factor:
    """The passkey that a browser has made.

    Raises:
        BadRequest: it is none, or for another challenge, user or instance.
    """
    try:
        challenge = _answered(sealer, credential, user)
        found = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_host(at),
            expected_origin=at,
            require_user_verification=True,
        )
        remember_used(tickets, challenge, _LASTS)
    except _WRONG as error:
        raise BadRequest("passkey", f"it is no passkey for this: {error}") from None
    return Factor(
        secrets.token_hex(8), user, FactorKind.PASSKEY, name, found.credential_public_key,
        found.credential_id, found.sign_count,
    )  # fmt: skip


def begin_sign_in(sealer: "Sealer", at: str) -> dict[str, Any]:
    """What a browser passes to `navigator.credentials.get`; it tells of no user."""
    options = generate_authentication_options(
        rp_id=_host(at),
        challenge=_challenge(sealer, ""),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    found: dict[str, Any] = json.loads(options_to_json(options))
    return found


def signed(
    sealer: "Sealer", factors: FactorStore, tickets: TicketStore, credential: Any, at: str
) -> str:
    """The user whose passkey has signed.

    Raises:
        Unauthenticated: the signature is wrong, or the passkey or challenge unknown or used.
    """
    try:
        challenge = _answered(sealer, credential, "")
        factor = factors.passkey(base64url_to_bytes(credential["id"]))
        if factor is None:
            raise ValueError("nobody has this passkey")
        found = verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_host(at),
            expected_origin=at,
            credential_public_key=factor.secret,
            credential_current_sign_count=factor.counter,
            require_user_verification=True,
        )
        remember_used(tickets, challenge, _LASTS)
    except _WRONG as error:
        raise Unauthenticated("the passkey is wrong or not known here") from error
    if not factors.use_factor(factor.id, found.new_sign_count, now()):
        raise Unauthenticated("the passkey is wrong or not known here")
    return factor.user


def _challenge(sealer: "Sealer", user: str) -> bytes:
    return sealer.seal((now() + _LASTS).to_bytes(8), _PURPOSE, user)


def _answered(sealer: "Sealer", credential: Any, user: str) -> bytes:
    """The challenge that a credential answers, if it is one of ours and has not ended.

    Raises:
        ValueError and others of `_WRONG`: it is not.
    """
    told = json.loads(base64url_to_bytes(credential["response"]["clientDataJSON"]))
    challenge = base64url_to_bytes(told["challenge"])
    try:
        ends = int.from_bytes(sealer.open(challenge, _PURPOSE, user))
    except Exception:
        raise ValueError("the challenge is not ours") from None
    if ends <= now():
        raise ValueError("the challenge has ended")
    return challenge


def _host(at: str) -> str:
    return urlsplit(at).hostname or ""


_WRONG = (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError)
