"""What the OpenID provider stores: clients, codes, access tokens, and keys that sign."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class OpenIdClient:
    """A program in which people sign in with their account here, such as Grafana.

    Attributes:
        id: a slug; the `client_id`.
        redirects: the addresses that codes may be sent to, compared as they are.
    """

    id: str
    title: str = ""
    redirects: tuple[str, ...] = ()
    created: Micros = 0


@dataclass(frozen=True, slots=True)
class OpenIdCode:
    """A code that a client exchanges for tokens, once.

    Attributes:
        session: of the user; codes and tokens end with it.
        challenge: SHA-256 of the client's verifier (RFC 7636, S256), in base64.
        signed_in: when the session was begun.
    """

    client: str
    user: str
    session: str
    redirect: str
    scope: str
    nonce: str
    challenge: str
    signed_in: Micros
    expires: Micros


@dataclass(frozen=True, slots=True)
class OpenIdToken:
    """An access token for `/oidc/userinfo`."""

    client: str
    user: str
    session: str
    scope: str
    expires: Micros


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of the provider.

    Attributes:
        id: the `kid`.
        sealed: the private key, encrypted.
        public: the public key as a JSON Web Key.
    """

    id: str
    sealed: bytes
    public: str
    created: Micros


class OpenIdStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each.

    Every method raises `StoreUnavailable` where the database does not answer.
    """

    def openid_clients(self) -> list[OpenIdClient]:
        """By id."""
        ...

    def openid_client(self, id: str) -> OpenIdClient | None: ...

    def openid_secret(self, id: str) -> bytes | None:
        """The digest of a client's secret."""
        ...

    def add_openid_client(self, client: OpenIdClient, secret: str) -> OpenIdClient:
        """Raises:
        Conflict: there is one of this id.
        """
        ...

    def change_openid_client(
        self,
        id: str,
        *,
        title: str | None = None,
        redirects: Sequence[str] | None = None,
        secret: str | None = None,
        check: Callable[[OpenIdClient], None] = lambda client: None,
    ) -> OpenIdClient:
        """Change what is given; the codes and tokens of before end.

        Args:
            check: called with the client as it is, in the same transaction; what it raises ends it.

        Raises:
            NotFound: there is no such client.
        """
        ...

    def delete_openid_client(
        self, id: str, check: Callable[[OpenIdClient], None] = lambda client: None
    ) -> None:
        """As `change_openid_client`.

        Raises:
            NotFound: there is no such client.
        """
        ...

    def add_openid_code(self, code: OpenIdCode, secret: str) -> None: ...

    def openid_nonce_used(self, client: str, nonce: str) -> bool:
        """Whether a code that has not expired was asked for with this nonce."""
        ...

    def take_openid_code(self, secret: str, client: str) -> OpenIdCode | None:
        """Use a code; None for one that is unknown, has expired, or is another client's.

        A code that is sent a second time was replayed: its tokens end at once.
        """
        ...

    def add_openid_token(self, token: OpenIdToken, secret: str, code: str) -> None:
        """Store an access token.

        Args:
            code: the secret of the code that it came of.
        """
        ...

    def openid_token(self, secret: str) -> OpenIdToken | None:
        """None for one that is unknown, has expired, or whose session has ended."""
        ...

    def openid_keys(self) -> list[SigningKey]:
        """The newest first."""
        ...

    def add_openid_key(self, key: SigningKey) -> None: ...

    def expire_openid(self, keys_before: Micros) -> None:
        """Delete codes and tokens that have expired, and older keys."""
        ...
