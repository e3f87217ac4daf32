"""Caches the channels of series, so that a series that is known costs one look-up."""

from collections.abc import Hashable

from lakebed.sources.http.ndjson import Sender
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.topic_templates import Words

_MOST = 64 * 2**20  # bytes of the keys of all senders together,
_COST = 300  # and about what an entry takes besides its key


class TopicCache:
    """All senders share its bytes. When they are used up it begins anew. Thread-safe."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._bytes = 0
        self._of: dict[tuple[Sender, Words, str], Topics] = {}

    def of(self, sender: Sender, words: Words, template: str) -> "Topics":
        """The channels of a sender under a template of these words; for one request."""
        topics = self._of.get((sender, words, template))
        if topics is None:
            topics = self._of[sender, words, template] = Topics(self)
            self.count(len(template))
        return topics

    def count(self, size: int) -> None:
        """Note that an entry with a key of this size is added."""
        self._bytes += size + _COST
        if self._bytes > self._most:
            self._of = {}
            self._bytes = 0


class Topics(dict[Hashable, Channel]):
    """Channels by what identifies a series within one sender and template."""

    def __init__(self, cache: TopicCache) -> None:
        super().__init__()
        self._cache = cache

    def keep(self, key: Hashable, size: int, channel: Channel) -> Channel:
        """
        Args:
            size: bytes of the key.
        """
        self[key] = channel
        self._cache.count(size)
        return channel
