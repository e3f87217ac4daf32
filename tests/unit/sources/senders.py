"""A sender that may publish to each topic of ann."""

from typing import cast

from lakebed.sources.http.ndjson import Sender
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.topics import check_topic


class _Everything:
    limit = 2**20

    def channel(self, topic: str) -> Channel:
        check_topic(topic)
        return Channel("ann", topic)

    def check_size(self, payload: bytes) -> bytes:
        return payload


SENDER = cast(Sender, _Everything())
