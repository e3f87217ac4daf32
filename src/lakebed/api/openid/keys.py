"""The keys that sign: one at a time, replaced now and then; those of before stay published.

made ── signs for key_lifetime ──> published for a while, so that its signatures can be checked
"""

import json
import secrets
from collections.abc import Callable
from typing import Any

from joserfc.jwk import RSAKey

from lakebed.ports.accounts.openid import OpenIdStore, SigningKey
from lakebed.system.sealing import Sealer, Unsealable
from lakebed.vocabulary.times import DAY, Micros, now

ALGORITHM = "RS256"  # that every client knows

_BITS = 2048
_PUBLISHED = DAY  # after its last signature; longer than any token lives
_PURPOSE = "signing key"


class SigningKeys:
    """Thread-safe: processes and threads that make a key at once make two, and both are good.

    Args:
        lifetime: for which a key signs.
    """

    def __init__(self, store: OpenIdStore, sealer: Callable[[], Sealer], lifetime: Micros) -> None:
        self._store = store
        self._sealer = sealer
        self._lifetime = lifetime

    def signing(self) -> RSAKey:
        """The private key that signs now.

        Raises:
            Unsupported: the instance has no key to encrypt it with.
        """
        sealer = self._sealer()
        for key in self._store.openid_keys():
            if key.created + self._lifetime <= now():
                break
            try:
                private = json.loads(sealer.open(key.sealed, _PURPOSE, key.id))
            except Unsealable:  # the instance's key was lost: this one signs nothing any more
                continue
            return RSAKey.import_key(private)
        return self._make(sealer)

    def published(self) -> list[dict[str, Any]]:
        """The public keys, as JSON Web Keys."""
        oldest = now() - self._lifetime - _PUBLISHED
        keys = self._store.openid_keys()
        return [json.loads(key.public) for key in keys if key.created > oldest]

    def _make(self, sealer: Sealer) -> RSAKey:
        id = secrets.token_hex(8)
        key = RSAKey.generate_key(_BITS, {"kid": id, "use": "sig", "alg": ALGORITHM})
        private = json.dumps(key.as_dict(private=True)).encode()
        public = json.dumps(key.as_dict(private=False))
        sealed = sealer.seal(private, _PURPOSE, id)
        self._store.add_openid_key(SigningKey(id, sealed, public, now()))
        self._store.expire_openid(now() - self._lifetime - _PUBLISHED)
        return key
