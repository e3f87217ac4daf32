"""A page in a real browser sends by mqtt.js over WebSocket, from under the policy of our pages."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.clients import building
from tests.server import eventually
from tests.web.browser.instance import Visitor

SEND = """async ([token, topic]) => {
  const address = location.origin.replace("http", "ws") + "/mqtt";
  const signed = { username: "page", password: token, protocolVersion: 5, timerVariant: "native" };
  const client = await mqtt.connectAsync(address, signed);
  const heard = new Promise((done) => client.on("message", (at, data) => done(at + " " + data)));
  const granted = await client.subscribeAsync(topic);
  await client.publishAsync(topic, "21.5", { qos: 1 });
  await client.publishAsync(topic, "x".repeat(200000), { qos: 2 });
  const first = await heard;
  await client.endAsync();
  return [granted[0].qos, first];
}"""


@pytest.mark.slow(5)
def test_a_page_publishes_and_hears_over_websocket(page: Page, visitor: Visitor) -> None:
    page.goto("/account")
    library = (building.node() / "node_modules/mqtt/dist/mqtt.min.js").read_text()
    page.evaluate(f"() => {{ {library}\n; window.mqtt = mqtt; }}")
    topic = f"page/{visitor.name}"
    found: Any = page.evaluate(SEND, [visitor.api.token, topic])
    assert found == [0, f"{topic} 21.5"]

    def counted() -> bool:
        rows = visitor.api.get("/api/v1/flow", by="topic", owner=visitor.name)["topics"]
        return {row["topic"]: row["received"] for row in rows}.get(topic) == 2

    eventually(counted)
