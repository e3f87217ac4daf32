"""What the pictures of pages show beside the demo: a greenhouse, its units, and what went wrong.

The name space is that of the demo. Everything is made by the API, as a user would.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from tests.server import Api, Server

TOPICS = [f"greenhouse/{bed}/temperature" for bed in ("tomatoes", "herbs")]
POLICIES: list[dict[str, Any]] = [
    {"name": "greenhouse-month", "topics": ["greenhouse/+/temperature"], "type": "number",
     "keep": "window", "for": "30d"},
    {"name": "greenhouse-quarters", "topics": ["greenhouse/+/temperature"], "type": "number",
     "keep": "aggregate", "every": "15m", "functions": ["min", "avg", "max"]},
    {"name": "greenhouse-now", "topics": ["greenhouse/#"], "type": "number", "keep": "last_value"},
]  # fmt: skip
BOARD: dict[str, Any] = {
    "name": "greenhouse",
    "title": "The greenhouse",
    "range": "24h",
    "tiles": [
        {"kind": "number", "title": "Tomatoes", "topics": [TOPICS[0]], "policy": "greenhouse-now",
         "suffix": "°C", "x": 0, "y": 0, "w": 3, "h": 2},
        {"kind": "number", "title": "Herbs", "topics": [TOPICS[1]], "policy": "greenhouse-now",
         "suffix": "°C", "x": 3, "y": 0, "w": 3, "h": 2},
        {"kind": "alert", "title": "No bed is too cold", "topics": ["greenhouse/+/temperature"],
         "policy": "greenhouse-now", "below": 5, "x": 6, "y": 0, "w": 3, "h": 2},
        {"kind": "text", "text": "Water the **herbs** on Mondays.", "x": 9, "y": 0, "w": 3, "h": 2},
        {"kind": "plot", "title": "Temperature, by the quarter of an hour",
         "topics": ["greenhouse/+/temperature"], "policy": "greenhouse-quarters",
         "functions": ["min", "avg", "max"], "x": 0, "y": 2, "w": 12, "h": 5},
    ],
}  # fmt: skip
UNITS: list[dict[str, Any]] = [
    {"name": "greenhouse-1", "publish": ["greenhouse/tomatoes/#"], "tags": ["south"]},
    {"name": "greenhouse-2", "publish": ["greenhouse/herbs/#"], "tags": ["south", "battery"]},
    {"name": "noisy-pump", "publish": ["pump/#"], "tags": ["cellar"],
     "limits": {"messages": "5/1m", "over": "park"}},
]  # fmt: skip
_MINUTES = 20 * 60
_GAP = range(500, 620)  # minutes in which the greenhouse sent nothing
_LATE = range(300, 320)  # minutes of which some messages came after the others


def fill(api: Server, folder: str) -> None:
    """Send a day of temperatures, and make one of everything that a page lists."""
    for policy in POLICIES:
        api.put_policy(**policy)
    tokens = [_unit(api, unit) for unit in UNITS]
    _make(api, "boards", BOARD)
    _make(api, "shares", {"name": "weather", "topics": ["greenhouse/#"], "with": ["instance"],
                          "may": ["read"]})  # fmt: skip
    api.request("PUT", "/api/v1/secrets/house-hook", json={"value": "https://hook.example/x"})
    relay = {"name": "house", "from": {"topics": ["greenhouse/#"]}, "paused": True,
             "to": {"http": "secret:house-hook"}}  # fmt: skip
    _make(api, "relays", relay)
    client = {"id": "grafana", "title": "Grafana"}
    _make(api, "oidc/clients", client | {"redirects": ["https://grafana.example.com/login"]})
    api.request("POST", "/api/v1/invitations", json={"role": "viewer"})
    api.wait_in_force()
    now = datetime.now(UTC)
    api.send_batch([*_readings(now, late=False)])
    api.wait_in_force()  # and until the windows of these are written
    api.send_batch([*_readings(now, late=True)])
    api.send_batch([{"topic": "workshop/door", "value": "open"}, {"topic": "attic/1", "value": 17}])
    api.send(TOPICS[0], "sensor fault")  # which no policy of numbers can keep
    pump = Api(api.url, tokens[-1])
    for pressure in range(40):
        query = {"topic": "pump/pressure"}
        pump.request("POST", "/api/v1/messages", params=query, content=str(pressure))
    pump.close()
    _refused(api, tokens[0])
    api.request("POST", "/api/v1/backups", json={"to": folder, "keep": 7})


def _make(api: Api, what: str, document: dict[str, Any]) -> dict[str, Any]:
    made = api.request("POST", f"/api/v1/{what}", json=document)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def _unit(api: Api, document: dict[str, Any]) -> str:
    """Make a unit; its token."""
    _make(api, "units", document)
    return str(_make(api, f"units/{document['name']}/token", {})["token"])


def _refused(server: Server, token: str) -> None:
    """Publish where the unit may not, by MQTT 3.1.1: that becomes dead letters."""
    client = Client(CallbackAPIVersion.VERSION2, "greenhouse-1", protocol=MQTTv311)
    client.username_pw_set("greenhouse-1", token)
    client.connect("127.0.0.1", server.mqtt_port)
    client.loop_start()
    for topic in ("cellar/humidity", "greenhouse/herbs/valve", "attic/window"):
        client.publish(topic, b"61.5", 1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def _readings(now: datetime, *, late: bool) -> Iterator[dict[str, Any]]:
    for minute in range(_MINUTES):
        if minute in _GAP or (minute in _LATE and minute % 2 == 0) != late:
            continue
        time = now - timedelta(minutes=_MINUTES - minute)
        for bed, topic in enumerate(TOPICS):
            value = 19 + 5 * math.sin(minute / 230 + bed) + 0.4 * math.sin(minute * 1.7)
            yield {"topic": topic, "value": round(value, 2), "time": time.isoformat()}
