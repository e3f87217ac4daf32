"""Last values of a catalog of an earlier version, whose key had no field."""

import pytest
from catalog_place import Place
from sqlalchemy import text

from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog import migrate
from lakebed.stores.catalog.engine import engine_for

OLD = LastValue("ann", "now", "room/1", "number", 1, 21.5, 4, 0, 7)


def test_they_stay_and_fields_stand_beside_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_for(place.url, place.home)
    monkeypatch.setattr(migrate, "HEAD", "0023")
    migrate.migrate(engine)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO last_values (owner, topic, policy, type, time, number, size,"
                ' partition, "offset", id, as_of)'
                " VALUES ('ann', 'room/1', 'now', 'number', 1, 21.5, 4, 0, 7, :id, 1)"
            ),
            {"id": b""},
        )
    engine.dispose()
    monkeypatch.undo()
    catalog = place.open()
    assert catalog.last_values("ann") == [OLD]
    values = [
        LastValue("ann", "now", "room/1", "number", 2, 22.5, 4, 0, 8),
        LastValue("ann", "now", "room/1", "integer", 2, 2**53 + 1, 4, 0, 8, field="count"),
        LastValue("ann", "now", "room/1", "boolean", 2, 1.0, 4, 0, 8, field="on"),
    ]
    catalog.upsert_last(values)
    assert catalog.last_values("ann") == values
    assert catalog.delete_last(values[1:2]) == 1
    assert catalog.last_values("ann") == [values[0], values[2]]
