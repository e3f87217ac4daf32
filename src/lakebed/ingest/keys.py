"""Keys under which the journal stores a message once (`Batch.keys`)."""

from lakebed.vocabulary.messages import ID_KEY, Channel


def id_prefix(owner: str) -> bytes:
    """The prefix of the keys of all messages of an owner that have an id."""
    return b"%b%b\0" % (ID_KEY, owner.encode())


def id_key(owner: str, topic: str, id: str) -> bytes:
    """A message with an id of its sender's: many count each of their topics from 1 on.

    No topic holds a NUL, so no key of one topic is that of another.
    """
    return b"%b%b\0%b" % (id_prefix(owner), topic.encode(), id.encode())


def sent_key(channel: Channel, sender: str, id: str | int) -> bytes:
    """A message with an id, whose sender belongs to the owner `sender`.

    Ids of others are apart from those of the topic's owner: nobody can take these before it does.
    A number is another id than a text of its digits. No id and no name of an owner holds a NUL.
    """
    marks = "" if channel.owner == sender else f"\0{sender}"
    if isinstance(id, int):
        marks = f"{marks or chr(0)}\0number"
    return id_key(channel.owner, channel.topic, f"{id}{marks}")


def packet_prefix(owner: str, client_id: str) -> bytes:
    """The prefix of the keys of all QoS 2 packets of one MQTT client."""
    return b"q\0%b\0%b\0" % (owner.encode(), client_id.encode())


def packet_key(owner: str, client_id: str, packet_id: int) -> bytes:
    """A QoS 2 packet without an id, from its PUBLISH to its PUBREL (MQTT 5, section 4.3.3).

    Neither names of owners nor MQTT strings hold a NUL, so no prefix is the prefix of another.
    """
    return packet_prefix(owner, client_id) + packet_id.to_bytes(2, "big")


def letter_key(owner: str, policy: str, partition: int, offset: int) -> bytes:
    """A dead letter that is sent again: the policy, and the position of its message."""
    return b"d\0%b\0%b\0%d:%d" % (owner.encode(), policy.encode(), partition, offset)


def parked_key(owner: str, partition: int, offset: int, id: str = "") -> bytes:
    """A parked message that is released: its topic and id, or its position. No topic is empty."""
    return id_key(owner, "", f"i{id}" if id else f"p{partition}:{offset}")
