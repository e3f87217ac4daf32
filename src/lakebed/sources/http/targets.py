"""Finds the channel that a message sent by HTTP goes to."""

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import parse_qsl

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, require
from lakebed.access.principals import Principal
from lakebed.http.queries import CACHE_BUSTER
from lakebed.vocabulary.errors import BadRequest, Denied
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.topic_templates import Words, check_template
from lakebed.vocabulary.topics import check_topic

Over: TypeAlias = Callable[[str, str], str | None]
"""Why an owner may not have one more topic; None where it may. ValueError: nobody may have it."""


def parameters(query: bytes, *known: str) -> dict[str, str]:
    """The parameters in a query string.

    Raises:
        BadRequest: one is unknown, or given twice.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16
        )
    except ValueError:
        raise BadRequest(known[0], "the query string is not percent-encoded UTF-8") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name == CACHE_BUSTER:
            continue
        if name not in known:
            allowed = " and ".join(f"`{one}`" for one in known)
            raise BadRequest(name, f"there is no such parameter: only {allowed} is known here")
        if name in found:
            raise BadRequest(name, f"name the {name} once")
        found[name] = value
    return found


def template_in(given: dict[str, str], words: Words, otherwise: str) -> str:
    """The template of topics that the parameter `topic` names.

    Raises:
        BadRequest: it is none.
    """
    if "topic" not in given:
        return otherwise
    try:
        return check_template(given["topic"], words)
    except ValueError as error:
        raise BadRequest("topic", str(error)) from None


def channel_of(principal: Principal, owner: str, topic: str, over: Over) -> Channel:
    """Check and authorize a topic; called once for each distinct topic of a principal.

    Args:
        owner: whose it is, where the topic names none.

    Raises:
        ValueError: it is invalid.
        Denied: the principal may not publish to it, or the owner may have no more topics.
    """
    owner, name, _ = split_owner(topic, owner)
    check_topic(name)
    require(principal, Action.MESSAGES_PUBLISH, Resource(owner, (name,)))
    if (why := over(owner, name)) is not None:
        raise Denied(why)
    return Channel(owner, name)
