"""Secrets as those who use them know them.

    relay, contact ──"secret:warehouse"──> Secrets.resolve ──> Secret ──reveal()──> the call
    PUT, page, command ──value──> Secrets.put ──sealed──> catalog

A value is looked up again after a second, so a change reaches every process within two; whoever
keeps a connection open compares what it used with what `resolve` gives now.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lakebed.ports.catalog.secrets import SecretStore, StoredSecret
from lakebed.ports.health import Health
from lakebed.secrets.keys import KeyRing, Keys, Unreadable
from lakebed.secrets.references import LONGEST, NO_NAME, is_name, name_in
from lakebed.secrets.values import Secret
from lakebed.vocabulary.errors import BadRequest, Invalid, LakebedError, Problem, Unavailable

_FRESH = 1.0  # seconds that a value is used without looking
_MOST = 1000  # values in memory


class SecretMissing(Unavailable):
    """A document refers to a secret that is not there; somebody may write it at any time."""


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    stored: StoredSecret
    secret: Secret


@dataclass(frozen=True, slots=True)
class Rotated:
    """Attributes:
    key: the id of the key that everything is encrypted by now.
    secrets: how many were encrypted anew.
    former: how many former keys are still read.
    """

    key: str
    secrets: int
    former: int


class Secrets:
    """Reads and writes the secrets of all owners. Calls block; thread-safe."""

    def __init__(
        self, store: SecretStore, keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}
        self._rotating = threading.Lock()

    def resolve(self, owner: str, reference: str, document: str = "") -> Secret:
        """The secret that a text such as `secret:warehouse` refers to, as of a second ago at most.

        Args:
            document: what refers to it, such as `relays/minutes`, for the error.

        Raises:
            ValueError: the text is no reference; documents are checked before they are written.
            SecretMissing: the owner has none of this name.
            Unreadable: the key is missing, or the row was changed.
            Unavailable: the catalog or the file of keys cannot be read.
        """
        name = name_in(reference)
        place, moment = (owner, name), self._clock()
        known = self._known.get(place)
        if known is not None and moment < known.until:
            return known.secret
        stored = self._store.secret(owner, name)
        if stored is None:
            self._known.pop(place, None)
            write = f"write it with `lakebed secrets put {name}`"
            if document:
                raise SecretMissing(
                    f"{document} needs the secret {name!r} of {owner!r}, which is missing: {write}"
                )
            raise SecretMissing(f"the secret {name!r} of {owner!r} is missing: {write}")
        if known is not None and known.stored == stored:
            secret = known.secret
        else:
            secret = Secret(name, self._keys.ring().open(owner, name, stored.sealed, stored.key))
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[place] = _Known(moment + _FRESH, stored, secret)
        return secret

    def put(self, owner: str, name: str, value: str, writer: str) -> tuple[StoredSecret, bool]:
        """Write a secret; the row, with whether it was made.

        Raises:
            Invalid: the name or the value cannot be stored.
            Unavailable: there is no key that the secrets of this catalog open with.
        """
        _check(name, value)
        sealed, key = self._writing().seal(owner, name, value)
        written = self._store.put_secret(StoredSecret(owner, name, sealed, key, writer))
        self._known.pop((owner, name), None)
        return written

    def remove(self, owner: str, name: str) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        self._store.delete_secret(owner, name)
        self._known.pop((owner, name), None)

    def rotate(self, forget: bool = False) -> Rotated:
        """Encrypt all secrets by a new key of the file, or by the first of the settings.

        Until all are, both keys read; one that is interrupted is finished by the next.

        Args:
            forget: drop former keys from the file; backups of before do not open any more then.

        Raises:
            Unavailable: a secret does not open with any of the keys; nothing was changed.
        """
        with self._rotating:  # of two at a time, one would forget the key of the other
            return self._rotate(forget)

    def _rotate(self, forget: bool) -> Rotated:
        self._check_keys(self._keys.ring())
        ring = self._keys.renew()
        newest = ring.ids[0]

        def reseal(stored: StoredSecret) -> tuple[bytes, str]:
            value = ring.open(stored.owner, stored.name, stored.sealed, stored.key)
            return ring.seal(stored.owner, stored.name, value)

        count = self._store.reseal_secrets(reseal, (newest,))
        if forget:
            used = self._store.secret_keys()  # of what another process has written meanwhile
            ring = self._keys.keep([newest, *(key for key in ring.ids if key in used)])
        return Rotated(newest, count, len(ring.ids) - 1)

    def health(self) -> Health:
        """Whether all secrets can be decrypted by this process."""
        try:
            used = self._store.secret_keys()
            if used:
                self._check_keys(self._keys.ring(), used)
        except LakebedError as error:
            return Health(False, str(error))
        return Health(True, detail={"secrets": sum(used.values())})

    def _writing(self) -> KeyRing:
        """The keys to write with; made if there are neither keys nor secrets."""
        ring = self._keys.ring()
        self._check_keys(ring)
        return ring if ring.ids else self._keys.first()

    def _check_keys(self, ring: KeyRing, used: dict[str, int] | None = None) -> None:
        """Raises:
        Unreadable: secrets are encrypted by keys that are not there.
        """
        used = self._store.secret_keys() if used is None else used
        foreign = sorted(used.keys() - set(ring.ids))
        if foreign:
            count = sum(used[key] for key in foreign)
            raise Unreadable(
                f"{count} secrets are encrypted by the key {', '.join(foreign)}, which is not"
                f" in {ring.where}: add that key there, or remove these secrets"
            )


def _check(name: str, value: str) -> None:
    if not is_name(name):
        raise BadRequest("name", NO_NAME)
    if not value:
        raise Invalid(Problem("value", "it is empty"))
    if len(value.encode()) > LONGEST:
        raise Invalid(Problem("value", f"it is longer than {LONGEST} bytes"))
