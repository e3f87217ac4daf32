"""Secrets by name, as ciphertext."""

import pytest

from lakebed.ports.catalog.secrets import StoredSecret
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import NotFound


def secret(
    name: str, owner: str = "ann", sealed: bytes = b"\x01\x00x", key: str = "k1"
) -> StoredSecret:
    return StoredSecret(owner, name, sealed, key, "user:ann")


def test_a_secret_is_written_replaced_and_deleted(catalog: SqlCatalog) -> None:
    made, created = catalog.put_secret(secret("ops"))
    assert created
    assert (made.sealed, made.key, made.writer, made.version) == (b"\x01\x00x", "k1", "user:ann", 1)
    again, created = catalog.put_secret(secret("ops", sealed=b"\x01y"))
    assert (again.sealed, again.version, again.created, created) == (
        b"\x01y",
        2,
        made.created,
        False,
    )
    assert catalog.secret("ann", "ops") == again
    assert catalog.secret("eve", "ops") is None
    catalog.delete_secret("ann", "ops")
    assert catalog.secret("ann", "ops") is None
    with pytest.raises(NotFound):
        catalog.delete_secret("ann", "ops")


def test_an_owner_has_its_secrets_by_name_until_it_is_deleted(catalog: SqlCatalog) -> None:
    for one in (secret("b"), secret("a"), secret("c", "eve")):
        catalog.put_secret(one)
    assert [one.name for one in catalog.secrets("ann")] == ["a", "b"]
    catalog.delete_owner("ann")
    assert catalog.secrets("ann") == []
    assert len(catalog.secrets("eve")) == 1


def test_secrets_are_sealed_anew_together_or_not_at_all(catalog: SqlCatalog) -> None:
    for one in (secret("a"), secret("b", "eve"), secret("c", key="k2")):
        catalog.put_secret(one)
    assert catalog.secret_keys() == {"k1": 2, "k2": 1}

    def failing(stored: StoredSecret) -> tuple[bytes, str]:
        if stored.owner == "eve":
            raise NotFound("its key")
        return b"new", "k2"

    with pytest.raises(NotFound):
        catalog.reseal_secrets(failing, ["k2"])
    assert catalog.secret_keys() == {"k1": 2, "k2": 1}
    assert catalog.reseal_secrets(lambda stored: (b"new" + stored.sealed, "k2"), ["k2"]) == 2
    assert catalog.secret_keys() == {"k2": 3}
    found = catalog.secret("ann", "a")
    assert found is not None
    assert (found.sealed, found.version) == (b"new\x01\x00x", 1)
