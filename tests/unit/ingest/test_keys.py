"""Under which keys a message is stored once."""

from lakebed.ingest.keys import id_key, id_prefix, parked_key, sent_key
from lakebed.vocabulary.messages import Channel

ROOM, HALL = Channel("ann", "room"), Channel("ann", "hall")


def test_an_id_counts_within_its_topic_and_its_sender() -> None:
    keys = [
        sent_key(ROOM, "ann", "1"),
        sent_key(HALL, "ann", "1"),
        sent_key(ROOM, "eve", "1"),
        sent_key(HALL, "eve", "1"),
        sent_key(Channel("eve", "room"), "eve", "1"),
        sent_key(ROOM, "ann", "2"),
        sent_key(ROOM, "ann", 1),
        sent_key(ROOM, "eve", 1),
        sent_key(ROOM, "ann", "1.0"),
        sent_key(ROOM, "number", "1"),  # the name of an owner, not the kind of an id
        parked_key("ann", 0, 1, "1"),
        parked_key("ann", 0, 1, "room\0" + "1"),
        parked_key("ann", 0, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert sent_key(ROOM, "ann", "1") == id_key("ann", "room", "1")


def test_keys_of_an_owner_have_its_prefix() -> None:
    assert sent_key(ROOM, "eve", "1").startswith(id_prefix("ann"))
    assert not sent_key(Channel("anna", "room"), "anna", "1").startswith(id_prefix("ann"))
