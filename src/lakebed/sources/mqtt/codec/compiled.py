"""Whether the loops over packets are compiled (`tools/compile`)."""

from lakebed.sources.mqtt.codec import plain


def is_compiled() -> bool:
    """Else they run as plain Python: the same packets, several times slower."""
    return not plain.__file__.endswith(".py")
