import threading
from collections.abc import Callable

import pytest

from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import Conflict, Denied, NotFound

Reopen = Callable[[SqlCatalog], SqlCatalog]


def document(name: str = "raw", **more: object) -> dict[str, object]:
    return {"name": name, "topics": ["plant/+"], "keep": "window", **more}


def test_a_new_policy_is_version_1_and_marked_as_new(catalog: SqlCatalog) -> None:
    [(policy, new)] = catalog.put_policies("ann", [document()])
    assert (policy.owner, policy.name, policy.version, new) == ("ann", "raw", 1, True)
    assert policy.document == document()
    assert policy.created == policy.updated
    assert catalog.policies("ann") == [policy]


def test_a_change_makes_a_version_and_keeps_the_old_one(catalog: SqlCatalog) -> None:
    [(first, _)] = catalog.put_policies("ann", [document()])
    [(second, new)] = catalog.put_policies("ann", [document(buffer="1m")])
    assert (second.version, new, second.created) == (2, False, first.created)
    assert catalog.policies() == [second]
    assert catalog.policy_version("ann", "raw", 1) == first
    assert catalog.policy_versions("ann", "raw") == [first, second]


def test_an_equal_document_changes_nothing(catalog: SqlCatalog) -> None:
    [(first, _)] = catalog.put_policies("ann", [document(a=1, b=2)])
    revision = catalog.revision()
    assert catalog.put_policies("ann", [document(b=2, a=1)]) == [(first, False)]
    assert catalog.revision() == revision


def test_true_is_not_1(catalog: SqlCatalog) -> None:
    catalog.put_policies("ann", [document(unique=True)])
    [(policy, _)] = catalog.put_policies("ann", [document(unique=1)])
    assert policy.version == 2


def test_versions_are_not_used_again_after_a_policy_was_deleted(catalog: SqlCatalog) -> None:
    catalog.put_policies("ann", [document()])
    catalog.put_policies("ann", [document(buffer="1m")])
    catalog.delete_policy("ann", "raw")
    assert catalog.policies() == []
    [(policy, new)] = catalog.put_policies("ann", [document()], create=True)
    assert (policy.version, new) == (3, True)
    assert [p.version for p in catalog.policy_versions("ann", "raw")] == [1, 2, 3]


def test_every_change_moves_the_revision_once(catalog: SqlCatalog) -> None:
    start = catalog.revision()
    catalog.put_policies("ann", [document("a"), document("b")])
    assert catalog.revision() == start + 1
    catalog.delete_policy("ann", "a")
    assert catalog.revision() == start + 2


def test_a_name_in_use_cannot_be_created_and_nothing_else_of_the_call_is_written(
    catalog: SqlCatalog,
) -> None:
    catalog.put_policies("ann", [document("b")])
    revision = catalog.revision()
    with pytest.raises(Conflict, match="'b'"):
        catalog.put_policies("ann", [document("a"), document("b")], create=True)
    assert [p.name for p in catalog.policies()] == ["b"]
    assert catalog.revision() == revision


def test_deleting_what_is_not_there_says_so(catalog: SqlCatalog) -> None:
    catalog.put_policies("bob", [document()])
    with pytest.raises(NotFound, match="'raw'"):
        catalog.delete_policy("ann", "raw")
    assert catalog.policy_version("ann", "raw", 1) is None
    assert catalog.policy_versions("ann", "raw") == []


def test_owners_do_not_see_or_touch_each_other(catalog: SqlCatalog) -> None:
    catalog.put_policies("ann", [document()])
    [(bobs, new)] = catalog.put_policies("bob", [document(keep="archive")], create=True)
    assert (bobs.version, new) == (1, True)
    catalog.delete_policy("ann", "raw")
    assert catalog.policies("bob") == [bobs]


def test_policies_come_by_owner_and_name_byte_by_byte(catalog: SqlCatalog) -> None:
    for owner in ("bob", "ann"):
        catalog.put_policies(owner, [document(name) for name in ("b", "a-c", "ab", "B", "a.b")])
    names = [(p.owner, p.name) for p in catalog.policies()]
    assert names == sorted(names)


def test_documents_come_back_as_they_were(catalog: SqlCatalog, reopened: Reopen) -> None:
    whole = document(
        text="zero \0, a lone surrogate \ud800, Привет 🌊", number=1e-7, big=2**60, none=None
    )
    catalog.put_policies("ann", [whole])
    [policy] = reopened(catalog).policies()
    assert policy.document == whole


def test_writers_at_once_get_different_versions(catalog: SqlCatalog) -> None:
    def write(writer: int) -> None:
        for i in range(10):
            catalog.put_policies("ann", [document(writer=writer, i=i)])

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = [p.version for p in catalog.policy_versions("ann", "raw")]
    assert versions == list(range(1, 41))
    assert catalog.revision() == 40


def refuse(policy: StoredPolicy) -> None:
    raise Denied(f"not {policy.name} {policy.version}")


def test_a_check_refuses_what_is_to_be_replaced_or_deleted(catalog: SqlCatalog) -> None:
    catalog.put_policies("ann", [document()], check=refuse)  # nothing is replaced
    before, revision = catalog.policies(), catalog.revision()
    with pytest.raises(Denied, match="not raw 1"):
        catalog.put_policies("ann", [document("other"), document(buffer="1m")], check=refuse)
    with pytest.raises(Denied, match="not raw 1"):
        catalog.put_policies("ann", [document()], check=refuse)  # nor by an equal one
    with pytest.raises(Denied, match="not raw 1"):
        catalog.delete_policy("ann", "raw", refuse)
    assert (catalog.policies(), catalog.revision()) == (before, revision)


def test_more_policies_than_one_statement_takes_are_one_change(catalog: SqlCatalog) -> None:
    names = [f"p{number:04}" for number in range(1_100)]
    catalog.put_policies("ann", [document(name) for name in names[:700]])
    catalog.delete_policy("ann", names[0])
    revision = catalog.revision()
    wanted = [document(names[0]), *(document(name) for name in names[1:500])]
    wanted += [document(name, buffer="1m") for name in names[500:]]
    written = catalog.put_policies("ann", wanted)
    assert [policy.name for policy, _ in written] == names
    assert [policy.name for policy, new in written if new] == [names[0], *names[700:]]
    assert [policy.version for policy, _ in written] == [2] + [1] * 499 + [2] * 200 + [1] * 400
    assert catalog.policies("ann") == [policy for policy, _ in written]
    assert catalog.revision() == revision + 1


def test_what_a_policy_was_ever_about_is_known_of_deleted_ones_too(catalog: SqlCatalog) -> None:
    for topics in (["a/#", "b"], ["b", "c"]):
        catalog.put_policies("ann", [document(topics=topics), document("gone", topics=["d"])])
    catalog.put_policies("eve", [document(topics=["e"])])
    catalog.delete_policy("ann", "gone")
    assert catalog.policy_topics("ann") == {"raw": {"a/#", "b", "c"}, "gone": {"d"}}
    assert catalog.policy_topics("nobody") == {}
