"""Secrets by name: written, never read, resolved where they are used."""

import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakebed.secrets.keys import Keys, Unreadable
from lakebed.secrets.references import Use, is_reference, name_in, names_in, uses
from lakebed.secrets.resolving import SecretMissing, Secrets
from lakebed.secrets.values import Secret, redacted
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.errors import Invalid, LakebedError, Unsupported


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = open_catalog("sqlite:catalog.db", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def secrets(catalog: SqlCatalog, tmp_path: Path, clock: Clock) -> Secrets:
    return Secrets(catalog, Keys(tmp_path, None), clock)


VALUE = "postgres://u:pä$$w0rd@db/warehouse"


def test_a_secret_is_resolved_by_its_owner_alone(secrets: Secrets) -> None:
    secrets.put("ann", "warehouse", VALUE, "user:ann")
    assert secrets.resolve("ann", "secret:warehouse").reveal() == VALUE
    with pytest.raises(SecretMissing):
        secrets.resolve("eve", "secret:warehouse")


def test_one_that_is_missing_is_named_with_the_document(secrets: Secrets) -> None:
    with pytest.raises(SecretMissing) as missing:
        secrets.resolve("ann", "secret:warehouse", "relays/minutes")
    assert str(missing.value) == (
        "relays/minutes needs the secret 'warehouse' of 'ann', which is missing: write it with"
        " `lakebed secrets put warehouse`"
    )


@pytest.mark.parametrize(
    "text", ["warehouse", "secret:", "secret:a b", "secret:-x", "secret:" + "x" * 65, "secret:a\n"]
)
def test_what_is_no_reference_is_refused(secrets: Secrets, text: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        secrets.resolve("ann", text)


def test_a_change_is_seen_within_a_second(
    secrets: Secrets, catalog: SqlCatalog, clock: Clock, tmp_path: Path
) -> None:
    secrets.put("ann", "ops", "old", "user:ann")
    used = secrets.resolve("ann", "secret:ops")
    other = Secrets(catalog, Keys(tmp_path, None))  # of another process
    other.put("ann", "ops", "new", "user:ann")
    clock.now += 1
    current = secrets.resolve("ann", "secret:ops")
    assert (current.reveal(), current == used) == ("new", False)
    other.remove("ann", "ops")
    clock.now += 1
    with pytest.raises(SecretMissing):
        secrets.resolve("ann", "secret:ops")


def test_one_that_does_not_change_stays_the_same(secrets: Secrets, clock: Clock) -> None:
    secrets.put("ann", "ops", "value", "user:ann")
    used = secrets.resolve("ann", "secret:ops")
    clock.now += 5
    assert secrets.resolve("ann", "secret:ops") is used


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("a/b", "x"), ("-a", "x"), ("x" * 65, "x"), ("a", ""), ("a", "ä" * 8193)],
)
def test_names_and_values_have_bounds(secrets: Secrets, name: str, value: str) -> None:
    with pytest.raises(Invalid):
        secrets.put("ann", name, value, "user:ann")


# --- at rest -------------------------------------------------------------------------------------


def test_the_catalog_has_ciphertext_that_opens_in_its_place_alone(
    secrets: Secrets, catalog: SqlCatalog, clock: Clock
) -> None:
    stored, _ = secrets.put("ann", "a", VALUE, "user:ann")
    assert VALUE.encode() not in stored.sealed
    assert "sealed" not in repr(stored)
    for owner, name in (("ann", "b"), ("eve", "a")):
        catalog.put_secret(type(stored)(owner, name, stored.sealed, stored.key))
        with pytest.raises(Unreadable, match="changed or moved"):
            secrets.resolve(owner, f"secret:{name}")


def test_the_first_secret_makes_a_key_that_nobody_else_reads(
    secrets: Secrets, tmp_path: Path
) -> None:
    path = tmp_path / "secrets.keys"
    assert not path.exists()
    secrets.put("ann", "a", "x", "user:ann")
    secrets.put("ann", "b", "x", "user:ann")
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().split()) == 1


def test_a_key_that_is_lost_is_told_and_no_other_is_made(
    secrets: Secrets, tmp_path: Path, clock: Clock
) -> None:
    stored, _ = secrets.put("ann", "a", "x", "user:ann")
    (tmp_path / "secrets.keys").unlink()
    clock.now += 1
    assert not secrets.health().ok
    for action in (
        lambda: secrets.put("ann", "b", "x", "user:ann"),
        lambda: secrets.rotate(),
    ):
        with pytest.raises(Unreadable, match=stored.key):
            action()
    assert not (tmp_path / "secrets.keys").exists()


def test_processes_that_share_a_catalog_need_a_key_of_the_settings(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    shared = Secrets(catalog, Keys(tmp_path, None, alone=False))
    with pytest.raises(Unsupported, match="LAKEBED_SECRETS_KEY"):
        shared.put("ann", "a", "x", "user:ann")
    one, other = (Secrets(catalog, Keys(tmp_path, key * 32, alone=False)) for key in "ab")
    one.put("ann", "a", "x", "user:ann")
    with pytest.raises(Unreadable, match=r"not in secrets\.key"):
        other.put("ann", "b", "x", "user:ann")
    with pytest.raises(Unreadable):
        other.resolve("ann", "secret:a")


# --- rotation ------------------------------------------------------------------------------------


def test_a_new_key_of_the_file_encrypts_everything_and_the_former_still_reads(
    secrets: Secrets, catalog: SqlCatalog, tmp_path: Path, clock: Clock
) -> None:
    for owner in ("ann", "eve"):
        secrets.put(owner, "a", f"of {owner}", "user:ann")
    before = catalog.secret("ann", "a")
    rotated = secrets.rotate()
    assert (rotated.secrets, rotated.former) == (2, 1)
    assert catalog.secret_keys() == {rotated.key: 2}
    clock.now += 1
    assert secrets.resolve("eve", "secret:a").reveal() == "of eve"
    assert before is not None
    catalog.put_secret(before)  # as a backup of before would bring it back
    clock.now += 1
    assert secrets.resolve("ann", "secret:a").reveal() == "of ann"
    assert secrets.rotate(forget=True).former == 0
    assert len((tmp_path / "secrets.keys").read_text().split()) == 1


def test_rotations_and_writes_at_the_same_time_lose_no_key(
    secrets: Secrets, catalog: SqlCatalog, clock: Clock
) -> None:
    secrets.put("ann", "a", "x", "user:ann")

    def work(worker: int) -> None:
        for _ in range(10):
            with catalog.transaction():  # as routes and pages write
                secrets.put("ann", f"of-{worker}", "y", "user:ann")
            secrets.rotate(forget=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    clock.now += 2
    assert secrets.health().ok
    assert secrets.resolve("ann", "secret:a").reveal() == "x"


def test_keys_of_the_settings_change_one_process_after_the_other(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    old, new = "o" * 32, "n" * 32
    before, reading, writing = (
        Secrets(catalog, Keys(tmp_path, keys, alone=False))
        for keys in (old, f"{old},{new}", f"{new},{old}")
    )
    before.put("ann", "a", "x", "user:ann")
    writing.put("ann", "b", "y", "user:ann")
    assert reading.resolve("ann", "secret:b").reveal() == "y"
    assert writing.rotate().secrets == 1
    assert Secrets(catalog, Keys(tmp_path, new)).resolve("ann", "secret:a").reveal() == "x"


# --- what does not print itself ------------------------------------------------------------------


def test_a_value_does_not_print_itself() -> None:
    secret = Secret("ops", VALUE)
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>20}",
        str.format("{}", secret),
        str([secret]),
    ):
        assert VALUE not in shown
        assert "ops" in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_errors_of_others_are_cleaned_of_values() -> None:
    dsn = Secret("w", "postgres://u:p%40ss/word@db:5432/x")
    hook = Secret("h", "https://hooks.example/T000/abcdefghij?token=klmnopqrst")
    text = (
        'connection to "postgres://u:p%40ss/word@db:5432/x" failed; password "p@ss"'
        " POST /T000/abcdefghij"
        " token klmnopqrst Basic"
    )
    clean = redacted(text, dsn, hook, Secret("k", "Basic"))
    for part in ("p%40ss", "abcdefghij", "klmnopqrst", "Basic"):
        assert part not in clean


def test_documents_name_their_secrets_however_deep() -> None:
    document = {
        "name": "m",
        "to": {"http": "https://x", "sign": "secret:hook", "list": [{"x": "secret:a.b-c"}]},
        "not": "my secret:hooks",
        "nor": "secret:no name",
    }
    assert names_in(document) == {"hook", "a.b-c"}
    assert uses("relays", [document]) == {
        "a.b-c": [Use("relays", "m")],
        "hook": [Use("relays", "m")],
    }
    assert is_reference("secret:x")
    assert name_in("secret:x") == "x"
    assert not is_reference(5)
    assert issubclass(SecretMissing, LakebedError)
