"""Lakebed: streams flow in; what you chose settles.

Read `messages.py` (the vocabulary), then `ports/` (every contract), then `wiring/`.
"""

from importlib.metadata import version

__version__ = version("lakebed")
