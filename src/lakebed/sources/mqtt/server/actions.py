"""The access action of each packet that a client sends."""

from lakebed.access.actions import Action
from lakebed.sources.mqtt.codec.answers import PUBREL

ACTIONS: dict[int, Action | None] = {
    1: Action.CONNECTION_OPEN,  # CONNECT; its will is a message
    3: Action.MESSAGES_PUBLISH,  # PUBLISH
    8: Action.MESSAGES_FOLLOW,  # SUBSCRIBE
    # The others concern the sender's own session alone.
    PUBREL: None,
    10: None,  # UNSUBSCRIBE
    12: None,  # PINGREQ
    14: None,  # DISCONNECT
    15: None,  # AUTH: refused, as nobody agreed on it
}
"""By type of packet (MQTT 5, section 2.1.2)."""
