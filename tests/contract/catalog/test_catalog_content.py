"""A catalog is moved as a whole: everything of one database stands in the other."""

from pathlib import Path

from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog


def filled(catalog: SqlCatalog) -> str:
    """One of everything, with what databases take differently; returns a token."""
    document = {"name": "all", "topics": ["#"], "type": "text", "keep": "archive"}
    catalog.put_policies("ann", [document])
    catalog.put_policies("ann", [document | {"topics": ["a/#"]}, document | {"name": "gone"}])
    catalog.delete_policy("ann", "gone")
    catalog.save_checkpoints("keeper", 0, [Checkpoint("router", 7, b"\0\xff")])
    catalog.upsert_last(
        [
            LastValue("ann", "all", "a", "text", 5, "\0 \ud800 ü", 3, 0, 4, "id\0"),
            LastValue("ann", "all", "b", "number", 5, -0.1, 3, 0, 5),
        ]
    )
    letters = [DeadLetter("ann", "a", "all", 0, n, 1, b"\xfe", "why", id="x") for n in (1, 2)]
    catalog.add_dead_letters(letters)
    catalog.settle_dead_letters(letters[:1], "dropped")
    return catalog.add_token(StoredToken("ann", "reader", publish=(), read=("a/#",)))


def everything(catalog: SqlCatalog) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, rows in catalog.content():
        found.setdefault(table, []).extend(map(repr, rows))
    return {table: sorted(rows) for table, rows in found.items()}


def test_what_is_taken_from_one_database_is_all_there_in_another(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    other = open_catalog("sqlite:other.db", tmp_path)
    try:
        token = filled(other)
        catalog.replace(other.content())
        assert everything(catalog) == everything(other)
        identity = catalog.find_token(token)
        assert identity is not None
        assert identity.name == "reader"
        assert catalog.revision() == other.revision()
        assert len(catalog.policy_versions("ann", "all")) == 2
        (letter,) = catalog.dead_letters("ann")
        assert letter.payload == b"\xfe"
    finally:
        other.close()


def test_what_was_there_before_is_gone_and_doing_it_again_changes_nothing(
    catalog: SqlCatalog, tmp_path: Path
) -> None:
    other = open_catalog("sqlite:other.db", tmp_path)
    try:
        filled(other)
        catalog.add_token(StoredToken("bob", "bob"))
        catalog.save_checkpoints("keeper", 3, [Checkpoint("router", 1, b"")])
        for _ in range(2):
            catalog.replace(other.content())
            assert everything(catalog) == everything(other)
    finally:
        other.close()


def test_a_catalog_that_was_never_used_counts_nothing(catalog: SqlCatalog) -> None:
    assert set(catalog.counts().values()) == {0}
    filled(catalog)
    assert catalog.counts() == {
        "policy_versions": 3, "tokens": 1, "checkpoints": 1, "last_values": 2, "dead_letters": 2,
    }  # fmt: skip
