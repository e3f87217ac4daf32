"""The provider's rules: Authlib's authorization code grant with PKCE and OpenID Connect.

    browser ──authorize──> code ──> client ──token (code, verifier, secret)──> ID and access token
                                    client ──userinfo (access token)──> claims

A code works once, for one client, one redirect address and one verifier, for a minute. Only S256
is taken as a challenge, and every client has a secret. Everything ends with the user's session.
"""

import hmac
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidRequestError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from joserfc.jwk import RSAKey

from lakebed.api.openid.claims import CLAIMS, SCOPES, claims_of
from lakebed.api.openid.keys import ALGORITHM, SigningKeys
from lakebed.api.openid.settings import OidcSection
from lakebed.ports.accounts.accounts import Accounts
from lakebed.ports.accounts.openid import OpenIdClient, OpenIdCode, OpenIdToken
from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.credentials import digest, new_secret
from lakebed.vocabulary.times import SECOND, now

_METHODS = ("client_secret_basic", "client_secret_post")
_GRANT = "authorization_code"
_LONGEST = 1000  # characters of a nonce or state


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user with the session by which they have signed in."""

    user: User
    session: Session


@dataclass(frozen=True, slots=True)
class Answer:
    """Attributes:
    body: JSON values, or "" where there is none.
    """

    status: int
    body: Any
    headers: tuple[tuple[str, str], ...]


class Provider:
    """Thread-safe."""

    def __init__(
        self, accounts: Accounts, keys: SigningKeys, section: OidcSection, issuer: str
    ) -> None:
        self._accounts = accounts
        self._keys = keys
        self.issuer = issuer
        self._server = _Server(accounts, keys, section, issuer)

    def check(self, parameters: Mapping[str, list[str]]) -> Answer | None:
        """Whether a request to sign in is right, before anybody is asked for a password.

        Returns:
            None where it is; else the error, sent to the client where its address is known.
        """
        if (twice := _twice(parameters)) is not None:
            return twice
        request = _Request("GET", parameters)
        try:
            grant = self._server.get_authorization_grant(request)
            grant.validate_authorization_request()
        except OAuth2Error as error:
            error.state = request.payload.state
            return cast(Answer, self._server.handle_error_response(request, error))
        return None

    def authorize(
        self, parameters: Mapping[str, list[str]], who: SignedIn | None, error: str = ""
    ) -> Answer:
        """Send the browser back to the client, with a code or an error.

        Args:
            who: None where nobody has signed in, and the client wants no page (`prompt=none`).
        """
        if (wrong := self.check(parameters)) is not None:
            return wrong
        request = _Request("GET", parameters)
        grant = self._server.get_authorization_grant(request)
        if who is None:
            redirect = grant.validate_authorization_request()
            refused = OAuth2Error(error or "login_required", redirect_uri=redirect)
            refused.error, refused.state = error or "login_required", request.payload.state
            return cast(Answer, self._server.handle_error_response(request, refused))
        answer = self._server.create_authorization_response(request, grant_user=who, grant=grant)
        return cast(Answer, answer)

    def exchange(self, form: Mapping[str, list[str]], headers: Mapping[str, str]) -> Answer:
        """Exchange a code for tokens."""
        if (twice := _twice(form)) is not None:
            return twice
        request = _Request("POST", form, headers)
        return cast(Answer, self._server.create_token_response(request))

    def userinfo(self, token: str) -> dict[str, Any] | None:
        """The claims that an access token opens; None for one that works no more."""
        found = self._accounts.openid_token(token)
        user = None if found is None else self._accounts.user(found.user)
        if found is None or user is None:
            return None
        members = self._accounts.members(user=user.name)
        return claims_of(user, members, found.scope, self.issuer)

    def keys(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        if not (published := self._keys.published()):
            self._keys.signing()  # makes the first one
            published = self._keys.published()
        return {"keys": published}

    def configuration(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery 1.0, section 3)."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [_GRANT],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": list(_METHODS),
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": list(SCOPES),
            "claims_supported": ["iss", "aud", "exp", "iat", "auth_time", "nonce", *CLAIMS],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }


def _twice(parameters: Mapping[str, list[str]]) -> Answer | None:
    """The error where a parameter comes more than once (RFC 6749, sections 3.1 and 3.2)."""
    for name, values in parameters.items():
        if len(values) > 1:
            what = f"{name!r} comes {len(values)} times"
            return Answer(400, {"error": "invalid_request", "error_description": what}, ())
    return None


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A request as Authlib reads it.

    Whether the connection is encrypted is checked where the issuer is set: behind a proxy only the
    issuer knows.
    """

    def __init__(
        self,
        method: str,
        parameters: Mapping[str, list[str]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(method, "https://issuer/", headers=dict(headers or {}))
        self.payload = _Payload(parameters)

    @property
    def args(self) -> dict[str, str]:
        return cast(dict[str, str], self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        return cast(dict[str, str], self.payload.data)


class _Payload(BasicOAuth2Payload):  # type: ignore[misc]
    def __init__(self, parameters: Mapping[str, list[str]]) -> None:
        super().__init__({name: values[0] for name, values in parameters.items()})
        self._datalist = dict(parameters)


class _Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, client: OpenIdClient, secret: bytes) -> None:
        self.client = client
        self._secret = secret

    def get_client_id(self) -> str:
        return self.client.id

    def get_default_redirect_uri(self) -> None:
        """None: a request names its address."""

    def get_allowed_scope(self, scope: str | None) -> str:
        asked = (scope or "openid").split()
        return " ".join(name for name in SCOPES if name in asked)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.client.redirects

    def check_client_secret(self, client_secret: str) -> bool:
        return hmac.compare_digest(digest(client_secret), self._secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _METHODS

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == _GRANT


class _Code:
    """A code that was taken, as Authlib asks it."""

    def __init__(self, code: OpenIdCode, secret: str) -> None:
        self.code, self.secret = code, secret
        self.code_challenge, self.code_challenge_method = code.challenge, "S256"

    def get_redirect_uri(self) -> str:
        return self.code.redirect

    def get_scope(self) -> str:
        return self.code.scope

    def get_nonce(self) -> str:
        return self.code.nonce

    def get_auth_time(self) -> int:
        return self.code.signed_in // SECOND

    def get_acr(self) -> None:
        """None: nothing is said of how somebody signed in."""

    def get_amr(self) -> None:
        """None: nothing is said of how somebody signed in."""


class _Server(AuthorizationServer):  # type: ignore[misc]
    def __init__(
        self, accounts: Accounts, keys: SigningKeys, section: OidcSection, issuer: str
    ) -> None:
        super().__init__()
        self.accounts, self.keys, self.section, self.issuer = accounts, keys, section, issuer
        lifetime = section.token_lifetime // SECOND
        self.register_token_generator(
            "default",
            BearerTokenGenerator(lambda **_: new_secret(), expires_generator=lifetime),
        )
        self.register_grant(_Grant, [_Challenge(required=True), _OpenId(self)])

    def query_client(self, client_id: str) -> _Client | None:
        found, secret = (
            self.accounts.openid_client(client_id),
            self.accounts.openid_secret(client_id),
        )
        return None if found is None or secret is None else _Client(found, secret)

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        taken: _Code = request.authorization_code
        code = taken.code
        expires = now() + self.section.token_lifetime
        stored = OpenIdToken(code.client, code.user, code.session, code.scope, expires)
        self.accounts.add_openid_token(stored, token["access_token"], taken.secret)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        return Answer(status, body, tuple(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


class _Grant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = list(_METHODS)  # noqa: RUF012  (Authlib's own name and type)
    server: _Server

    def generate_authorization_code(self) -> str:
        return new_secret()

    def save_authorization_code(self, code: str, request: _Request) -> None:
        who: SignedIn = request.user
        data = request.payload.data
        self.server.accounts.add_openid_code(
            OpenIdCode(
                client=request.client.get_client_id(),
                user=who.user.name,
                session=who.session.id,
                redirect=request.payload.redirect_uri,
                scope=request.scope,
                nonce=data.get("nonce", ""),
                challenge=data["code_challenge"],
                signed_in=who.session.created,
                expires=now() + self.server.section.code_lifetime,
            ),
            code,
        )

    def query_authorization_code(self, code: str, client: _Client) -> _Code | None:
        taken = self.server.accounts.take_openid_code(code, client.get_client_id())
        return None if taken is None else _Code(taken, code)

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        """It was used up when it was taken."""

    def authenticate_user(self, authorization_code: _Code) -> User | None:
        code, accounts = authorization_code.code, self.server.accounts
        user = accounts.user(code.user)
        if user is None or user.blocked:
            return None
        there = any(session.id == code.session for session in accounts.sessions(code.user))
        return user if there else None


class _Challenge(CodeChallenge):  # type: ignore[misc]
    """A challenge is always asked for, also of clients with a secret (RFC 9700, section 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012

    def validate_code_challenge(self, grant: _Grant, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError(
                "send a code_challenge, and code_challenge_method=S256 (PKCE, RFC 7636)"
            )
        super().validate_code_challenge(grant, redirect_uri)


class _OpenId(OpenIDCode):  # type: ignore[misc]
    def __init__(self, server: _Server) -> None:
        super().__init__(require_nonce=False)
        self._server = server
        self._key: RSAKey

    def exists_nonce(self, nonce: str, request: _Request) -> bool:
        if len(nonce) > _LONGEST:
            raise InvalidRequestError(f"a nonce has {_LONGEST} characters at most")
        client = request.payload.client_id
        return self._server.accounts.openid_nonce_used(client, nonce)

    def encode_id_token(self, token: Mapping[str, Any], request: _Request) -> str:
        one = copy(self)  # the key of this token: another may sign the next one
        one._key = self._server.keys.signing()
        return cast(str, super(_OpenId, one).encode_id_token(token, request))

    def get_encode_header(self, client: _Client) -> dict[str, Any]:
        return {"alg": ALGORITHM, "kid": self._key.kid}

    def resolve_client_private_key(self, client: _Client) -> RSAKey:
        return self._key

    def get_client_algorithm(self, client: _Client) -> str:
        return ALGORITHM

    def get_client_claims(self, client: _Client) -> dict[str, Any]:
        return {"iss": self._server.issuer, "aud": client.get_client_id()}

    def generate_user_info(self, user: User, scope: str) -> dict[str, Any]:
        members = self._server.accounts.members(user=user.name)
        return claims_of(user, members, scope, self._server.issuer)
