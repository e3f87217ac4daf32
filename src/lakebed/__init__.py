"""Lakebed: streams flow in; what you chose settles.

Read `vocabulary/messages.py` (the vocabulary), then `ports/` (every contract), then `runtime/`.
"""

from importlib.metadata import version

__version__ = version("lakebed")
