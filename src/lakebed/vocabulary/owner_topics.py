"""Topics of other owners, as clients name them: `$owner/NAME/TOPIC`."""

OF_OTHERS = "$owner/"


def split_owner(filter: str, owner: str) -> tuple[str, str, str]:
    """The owner that a topic or filter is of, the topic in its name space, and what to put in
    front of topics of that name space.

    Args:
        owner: whose it is where it names none.

    Raises:
        ValueError: a sentence that says what is wrong.
    """
    if not filter.startswith(OF_OTHERS):
        return owner, filter, ""
    other, _slash, topic = filter.removeprefix(OF_OTHERS).partition("/")
    if not other or not topic or other in ("+", "#"):
        raise ValueError(f"write {OF_OTHERS}NAME/TOPIC with the name of one owner")
    return other, topic, f"{OF_OTHERS}{other}/"
