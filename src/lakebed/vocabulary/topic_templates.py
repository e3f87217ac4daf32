"""Templates of topics, by which measurements that have names and tags become topics.

Levels in capitals stand for what a measurement says, others for themselves.
"""

from lakebed.vocabulary.topics import check_topic

LINE_PROTOCOL = "MEASUREMENT/TAGVALUES/FIELD"
"""The topic of a field of InfluxDB's line protocol, where nothing else is asked for."""

_WORDS = ("MEASUREMENT", "TAGVALUES", "FIELD")


def check_template(template: str) -> str:
    """The same template.

    Raises:
        ValueError: it is not one.
    """
    levels = template.split("/")
    if levels.count("FIELD") != 1 or any(levels.count(word) > 1 for word in _WORDS):
        raise ValueError(
            "a template has the level FIELD, and may have MEASUREMENT and TAGVALUES, each once"
        )
    check_topic(template)
    return template
