"""Query strings."""

CACHE_BUSTER = "_"
"""The parameter that scripts add, with ever another value, against caches. It means nothing."""


def without_cache_buster(query: bytes) -> bytes:
    """The query string without it."""
    if b"_" not in query:
        return query
    parts = query.split(b"&")
    return b"&".join(part for part in parts if part.partition(b"=")[0] != b"_")
