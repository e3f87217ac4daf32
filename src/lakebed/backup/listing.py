"""Lists the backups at a place, with what is wrong with them."""

from typing import Any

from lakebed.backup import manifest
from lakebed.backup.restoring import check as problems_of
from lakebed.ports.objects import Objects
from lakebed.vocabulary.errors import Invalid, Problem
from lakebed.vocabulary.times import to_rfc3339


def listed(
    objects: Objects, contents: bool = False, most: int | None = None
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """A row for each backup, the oldest first, and every problem.

    Args:
        contents: whether to read all of it and compare checksums.
        most: only so many of the newest.
    """
    rows: list[dict[str, Any]] = []
    wrong: list[Problem] = []
    names = manifest.names(objects)
    for name in names if most is None else names[-most:]:
        try:
            found = manifest.read(objects, name)
            problems = problems_of(objects, found, contents=contents)
        except Invalid as error:
            rows.append({"name": name, "state": "damaged"})
            wrong += error.problems
            continue
        wrong += problems
        rows.append(
            {
                "name": name,
                "state": "damaged" if problems else "whole" if contents else "complete",
                "taken": to_rfc3339(found.taken),
                "messages": found.messages,
                "rows": sum(found.rows.values()),
                "bytes": found.size,
                "new_bytes": found.written,
                "lakebed": found.lakebed,
            }
        )
    return rows, wrong
