"""Messages to a broker by MQTT 5, each acknowledged.

target.py      options, topics, what answers mean
connection.py  one connection, used by one thread: CONNECT, PUBLISH in a window, PUBACK
"""

from lakebed.relays.targets.mqtt.target import KIND

__all__ = ["KIND"]
