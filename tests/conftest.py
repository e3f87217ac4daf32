"""What holds for all tests."""

import os
from contextlib import ExitStack

import pytest
from hypothesis import settings

from tests.servers.host import Host

# a shared machine may pause anybody for longer than any deadline; where a change is decided on, the
# same examples are tried each time, elsewhere always others
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure(config: pytest.Config) -> None:
    """The process that all others come from has what they share."""
    if not hasattr(config, "workerinput"):
        stack = ExitStack()
        stack.enter_context(Host())
        config.add_cleanup(stack.close)
