"""Puts the parts together: URL schemes to adapters, roles to tasks. The only place that knows all.

    stores.py   URL ──> adapter                sharing.py   which stores several processes may share
    home.py     the folder, its lock, the admin's token
    roles/      one file for each thing a process may be: gateway, keeper, api
    node.py     one process: stores, then roles, then doors

Adapters are imported when their URL asks for them: what is not used costs nothing.
"""

from lakebed.runtime.home import ADMIN, beyond, check_whole, lock
from lakebed.runtime.node import Node
from lakebed.runtime.stores import (
    open_catalog,
    open_journal,
    open_objects,
    open_series,
    series_noticing,
)

__all__ = [
    "ADMIN",
    "Node",
    "beyond",
    "check_whole",
    "lock",
    "open_catalog",
    "open_journal",
    "open_objects",
    "open_series",
    "series_noticing",
]
