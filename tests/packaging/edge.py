"""What an edge agent is made of, run where nothing but `pip install lakebed` was done.

a device ──MQTT, TLS-free, QoS 1──> endpoint ──> intake ──> SQLite journal ──> read back

Prints what was read back, and where the compiled module is.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from lakebed.access.identification import Identification
from lakebed.consuming.feed import LiveFeed
from lakebed.http import connection  # noqa: F401  what HTTP inputs stand on
from lakebed.ingest.intake import Intake
from lakebed.ports.accounts.credentials import Credential, Grants, Subject, TokenSubject
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.journal.journal import Journal
from lakebed.runtime.settings import Settings
from lakebed.sources import machine  # noqa: F401
from lakebed.sources.http import ingest  # noqa: F401
from lakebed.sources.mqtt.client import client  # noqa: F401
from lakebed.sources.mqtt.client.publisher import Publisher
from lakebed.sources.mqtt.codec import plain
from lakebed.sources.mqtt.server.endpoint import MqttEndpoint
from lakebed.stores.home import lock
from lakebed.stores.opening import open_journal
from lakebed.vocabulary.messages import Channel


class OneToken:
    """An edge knows those that its configuration names."""

    def grants(self, since: int | None = None) -> Grants:
        return Grants(1, None if since is None else frozenset())

    def shares(self) -> list[Share]:
        return []

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        subject = TokenSubject(StoredToken("shed", "sensor"))
        return [subject if each == "a token of this test" else None for each in credentials]


async def take(journal: Journal, settings: Settings) -> None:
    async def known(prefix: bytes) -> list[bytes]:
        return journal.known(prefix)

    failures: list[BaseException] = []
    intake = Intake(journal, on_fatal=failures.append)
    await intake.start()
    feed = LiveFeed(journal)
    endpoint = MqttEndpoint(settings, intake, Identification(OneToken()), feed, known)
    await endpoint.start()
    device = Publisher("sensor", "a token of this test")
    await device.open(*endpoint.addresses[0])
    for number in range(100):
        await device.publish("shed/temperature", b"%d" % number, 1)
    await device.close()
    await endpoint.stop()
    await feed.close()
    await intake.stop()
    assert not failures


def main() -> None:
    home = Path(sys.argv[1])
    home.mkdir()
    lock(home)
    settings = Settings.model_validate({"home": home, "mqtt": {"listen": "127.0.0.1:0"}})
    journal = open_journal(settings)
    asyncio.run(take(journal, settings))
    journal.close()
    again = open_journal(settings)
    found = again.entries(0, 0, 1000)
    payloads = [payload for entry in found for payload in entry.batch.payloads]
    channels = {channel for entry in found for channel in entry.batch.channels}
    assert payloads == [b"%d" % number for number in range(100)]
    assert channels == {Channel("shed", "shed/temperature")}
    again.close()
    print(len(payloads), "messages read back by", plain.__file__)


main()
