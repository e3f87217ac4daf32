"""Checks topics of a broker's messages before anything is stored under them."""

from lakebed.limits.book import LimitBook
from lakebed.sources.mqtt.codec.reasons import Reason, Refuse
from lakebed.vocabulary.topics import check_topic


def check_stored(topic: str, limits: LimitBook) -> None:
    """Check a topic that a broker has sent.

    Raises:
        Refuse: it holds what no topic should, or is too long; its messages are counted and let go.
    """
    try:
        check_topic(topic, limits.longest_topic)
    except ValueError as error:
        raise Refuse(Reason.TOPIC_NAME_INVALID, str(error)) from None
