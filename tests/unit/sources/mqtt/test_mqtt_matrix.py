"""Who may send which packet: the table `tests/unit/access/packets.md` against real connections.

Every kind of packet × everybody who may come, identified by a real catalog: what the table calls
`no` is refused by its reason code, or by the end of the connection. The table was written by hand
out of `docs/reference/access.md`, before it was compared.

Topics without `$owner` are in the name space of whoever sends, which is ann's for the unit and the
tokens, and their own for people. Of ann's, `roof/#` is shared with the instance for reading, and
`gate/#` with eve for publishing. The unit and the narrow token have the filter `room/#`. Retained
messages are messages; shared subscriptions are not supported for anybody.
"""

from pathlib import Path

import pytest

from lakebed.access.identification import Identification
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import Session, User
from lakebed.sources.mqtt.codec.handshake import Connect, Will
from lakebed.sources.mqtt.codec.subscriptions import Subscribe, SubscriptionRequest
from lakebed.sources.mqtt.codec.wire import V5
from lakebed.stores.catalog.sql import open_catalog
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR, now

LINES = [
    [cell.strip(" `") for cell in line.strip("|\n").split("|")]
    for line in (Path(__file__).parents[2] / "access" / "packets.md").read_text().splitlines()
    if "---" not in line
]
COLUMNS = LINES[0][1:]
ROWS = {packet: dict(zip(COLUMNS, cells, strict=True)) for packet, *cells in LINES[1:]}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """The catalog with one of each column, and their secrets."""
    catalog = open_catalog("sqlite:catalog.db", tmp_path_factory.mktemp("people"))
    for name in ("ann", "eve"):
        catalog.add_user(User(name), adopt=True)
    catalog.add_user(User("root", admin=True))
    catalog.add_owner(Owner("nobodys"))
    found = {"nobody": None}
    people = {"member of another": "eve", "admin": "root", "suspended": "suspended"}
    for role in (Role.VIEWER, Role.EDITOR, Role.MANAGER):
        people[role.word] = role.word
        catalog.add_user(User(role.word))
        catalog.put_member(Member("ann", role.word, role))
    catalog.add_user(User("suspended"))
    catalog.put_member(Member("ann", "suspended", Role.MANAGER))
    catalog.change_user("suspended", blocked=True)
    at = now()
    for column, user in people.items():
        found[column] = f"secret of {column}"
        catalog.add_session(Session(column, user, at, at, at + HOUR), found[column])
    room = ("room/#",)
    ((unit, _),) = catalog.put_units([Unit("", "ann", "sensor", room, room)])
    found["unit"] = "secret of unit"
    catalog.add_unit_token(unit.uuid, found["unit"])
    for column, token in {
        "narrow token": StoredToken("ann", "narrow", room, room),
        "token": StoredToken("ann", "wide"),
        "admin token": StoredToken("admin", "root", admin=True),
    }.items():
        found[column] = f"secret of {column}"
        catalog.add_token(token, found[column])
    catalog.put_shares(
        [
            Share("ann", "roof", ("roof/#",), ("instance",), ("read",)),
            Share("ann", "gate", ("gate/#",), ("owner:eve",), ("publish",)),
        ]
    )
    assert list(ROWS["CONNECT"]) == COLUMNS
    assert set(found) == set(COLUMNS)
    yield catalog, found
    catalog.close()


async def outcome(bench, secret, packet):
    """Whether a packet of somebody is answered well."""
    kind, *words, topic = packet.split() if " " in packet else (packet, "")
    will = Will(topic, b"x") if words == ["will"] else None
    wire = await bench.dial()
    wire.send(Connect("c", V5, password=None if secret is None else secret.encode(), will=will))
    answer = await wire.next()
    if kind == "PUBLISH" and answer.reason == 0:
        wire.publish(topic, b"x", 1, 1, retain=words == ["retained"])
        answer = await wire.next()
    elif kind == "SUBSCRIBE" and answer.reason == 0:
        wire.send(Subscribe(1, (SubscriptionRequest(topic),)))
        answer = await wire.next()
        await wire.close()
        return answer is not None and getattr(answer, "reasons", (0x80,))[0] < 0x80
    await wire.close()
    return answer is not None and answer.reason < 0x80


@pytest.mark.parametrize("column", COLUMNS)
def test_each_sends_what_the_table_says(run, serving, secrets, column):
    catalog, found = secrets

    async def story():
        identification = Identification(catalog)
        async with serving() as bench:
            bench.tokens.identify = identification.identify
            bench.tokens.identify_certificate = identification.identify_certificate
            may = {packet: await outcome(bench, found[column], packet) for packet in ROWS}
            said = {packet: "yes" if may[packet] else "no" for packet in ROWS}
            assert said == {packet: row[column] for packet, row in ROWS.items()}

    run(story())
