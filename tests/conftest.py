"""What holds for all tests."""

import os

from hypothesis import settings

# a shared machine may pause anybody for longer than any deadline; where a change is decided on, the
# same examples are tried each time, elsewhere always others
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
