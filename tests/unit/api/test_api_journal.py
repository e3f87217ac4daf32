"""The journal by HTTP: who reads it, what was damaged, and that an operator has seen it."""

import os

import pytest

from lakebed.keeper.ledger import Ledger, to_checkpoint
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.journal import Appended, JournalIdentity
from lakebed.ports.journal.adoption import JournalChange
from lakebed.ports.journal.operating import Damage, DamagedBlock
from lakebed.stores.journal.memory import MemoryJournal

from .conftest import ADMIN, ANN, Api, problem

PATH = "/api/v1/journal"
ADOPT = f"{PATH}/adopt?id=second&partitions=2&messages=7"
COUNTS = [(record << 20, {"ann": count}) for record, count in enumerate((13, 20, 3, 4))]
ROUTES = [
    ("GET", PATH),
    ("POST", f"{PATH}/acknowledge-damage?messages=0"),
    ("POST", f"{PATH}/adopt?id=x&partitions=1&messages=0"),
    ("DELETE", f"{PATH}/consumers/x"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_journal_is_for_admins(api: Api, method: str, path: str) -> None:
    problem(api.ask(method, path, token=None), 401)
    problem(api.ask(method, path, token=ANN), 403)


def test_consumers_are_shown_with_the_policy_that_holds_the_keeper(api: Api) -> None:
    api.post("/api/v1/messages", params={"topic": "t"}, content=b"1")
    reader = api.journal.consumer("keeper")
    parts = [Checkpoint("router", api.end, b""), Checkpoint("ann/slow@3", 0, b"")]
    api.catalog.save_checkpoints("keeper", 0, parts)
    found = api.get(PATH, token=ADMIN).json()
    (shown,) = [consumer for consumer in found["consumers"] if consumer["name"] == "keeper"]
    assert (shown["behind"], shown["live"], shown["held_by"]) == (api.end, True, "ann/slow@3")
    assert shown["age"] >= 0
    (partition,) = found["partitions"]
    assert partition.pop("owner").endswith(f":{os.getpid()}")
    assert partition == {
        "partition": 0, "first": 0, "end": api.end, "committed": 0, "lag": 0,
    }  # fmt: skip
    reader.commit({0: api.end})
    (shown,) = [c for c in api.get(PATH, token=ADMIN).json()["consumers"] if c["name"] == "keeper"]
    assert (shown["behind"], shown["age"], shown["held_by"]) == (0, None, None)
    reader.close()


def test_the_lag_of_a_partition_that_nobody_has_is_told(api: Api) -> None:
    api.catalog.save_checkpoints("keeper", 0, [to_checkpoint(Ledger(), api.end)])
    reader = api.journal.consumer("keeper")
    told = api.get("/metrics", token=None).text
    assert 'lakebed_partition_owned{partition="0"} 1.0' in told
    reader.close()
    for _ in range(3):
        api.post("/api/v1/messages", params={"topic": "t"}, content=b"1")
    told = api.get("/metrics", token=None).text
    assert 'lakebed_partition_lag_messages{partition="0"} 3.0' in told
    assert 'lakebed_partition_owned{partition="0"} 0.0' in told
    (partition,) = api.get(PATH, token=ADMIN).json()["partitions"]
    assert (partition["lag"], partition["owner"]) == (3, None)


def test_a_consumer_that_is_gone_is_dropped_and_one_that_reads_is_not(api: Api) -> None:
    reader = api.journal.consumer("relay")
    problem(api.ask("DELETE", f"{PATH}/consumers/relay", token=ADMIN), 409)
    reader.close()
    assert api.ask("DELETE", f"{PATH}/consumers/relay", token=ADMIN).status_code == 204
    problem(api.ask("DELETE", f"{PATH}/consumers/relay", token=ADMIN), 404)


def test_damage_is_shown_and_acknowledged_as_it_was_seen(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Damage(7, 2, True, (DamagedBlock(0, 50, 5, 1_500_000),), ("j.damaged-1",))]
    monkeypatch.setattr(MemoryJournal, "damage", lambda _: found[0])
    monkeypatch.setattr(
        MemoryJournal, "acknowledge_damage", lambda _, seen: found.__setitem__(0, Damage())
    )
    shown = api.get(PATH, token=ADMIN).json()["damage"]
    assert shown == {
        "messages": 7, "missing": 2, "salvaged": True, "files": ["j.damaged-1"], "lost": [],
        "blocks": [{"position": "0:50", "messages": 5, "written": "1970-01-01T00:00:01.500Z"}],
    }  # fmt: skip
    say = f"{PATH}/acknowledge-damage"
    problem(api.post(say, params={"messages": 5}, token=ADMIN), 409)
    problem(api.post(say, token=ADMIN), 400, "messages")
    assert api.post(say, params={"messages": 7}, token=ADMIN).json() == shown
    assert api.get(PATH, token=ADMIN).json()["damage"]["messages"] == 0


def test_another_topic_is_shown_and_adopted_as_it_was_seen(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get(PATH, token=ADMIN).json()["change"] is None
    problem(api.ask("POST", ADOPT, token=ADMIN), 409)
    former = JournalIdentity("lakebed", "first", 2)
    found = JournalIdentity("lakebed", "second", 2, base=9)
    starts = {0: 9 << 20, 1: 9 << 20}
    change = JournalChange("anew", "another one", former, found, {}, starts, lambda _: 0)
    monkeypatch.setattr(MemoryJournal, "change", lambda _: change)
    api.catalog.save_checkpoints("keeper", 1, [Checkpoint("router", 2 << 20, b"")])
    api.catalog.note_appended("w", [Appended(1, 0, 4 << 20, 4, {"ann": 40}, COUNTS)])
    assert api.get(PATH, token=ADMIN).json()["change"] == {
        "difference": "anew",
        "message": "another one",
        "hindrance": None,
        "lost": 7,
        "used": {"id": "first", "partitions": 2},
        "found": {"id": "second", "partitions": 2},
    }
    problem(api.ask("POST", ADOPT.replace("second", "third"), token=ADMIN), 409)
    problem(api.ask("POST", ADOPT.replace("messages=7", "messages=6"), token=ADMIN), 409)
    assert api.adopted == []
    assert api.ask("POST", ADOPT, token=ADMIN).json() == {"lost": 7}
    assert [plan.change for plan in api.adopted] == [change]
