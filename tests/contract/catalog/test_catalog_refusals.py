from collections.abc import Callable
from dataclasses import replace

from lakebed.ports.catalog.refusals import Refusal
from lakebed.stores.catalog.sql import SqlCatalog

ONE = Refusal(
    "ada", "mqtt", "shed", "192.0.2.7", "t/1", "not_authorized", "not yours", 3, 1000, 2000
)


def test_refusals_are_counted_by_kind(
    catalog: SqlCatalog, reopened: Callable[[SqlCatalog], SqlCatalog]
) -> None:
    catalog.add_refusals([])
    catalog.add_refusals([ONE, replace(ONE, owner="", topic="", last=5000)])
    again = replace(ONE, address="192.0.2.8", text="still not", count=2, first=3000, last=4000)
    catalog.add_refusals([again, replace(ONE, topic="t/☂\n", reason="other")])
    catalog = reopened(catalog)
    joined = replace(again, count=5, first=1000)
    assert catalog.refusals(["ada"]) == [joined, replace(ONE, topic="t/☂\n", reason="other")]
    assert [one.owner for one in catalog.refusals(["ada", ""])] == ["", "ada", "ada"]
    assert [one.topic for one in catalog.refusals(["ada"], "other")] == ["t/☂\n"]
    assert catalog.refusals(["ada"], limit=1) == [joined]
    assert catalog.refusals(["bob"]) == []


def test_old_and_too_many_refusals_are_deleted(catalog: SqlCatalog) -> None:
    catalog.add_refusals([replace(ONE, topic=f"t/{i}", last=i) for i in range(10)])
    catalog.add_refusals([replace(ONE, owner="bob", last=4)])
    catalog.expire_refusals(5, 7)
    assert [one.last for one in catalog.refusals(["ada", "bob"])] == [9, 8, 7]
    catalog.expire_refusals(2, 0)
    assert [one.last for one in catalog.refusals(["ada", "bob"])] == [9, 8]
