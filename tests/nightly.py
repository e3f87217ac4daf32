"""How much a test that can go on for ever does: enough for every change, or a night's worth."""

import os

NIGHTLY = os.environ.get("LAKEBED_NIGHTLY", "") not in ("", "0")


def often(usual: int, nightly: int) -> int:
    """How many examples."""
    return nightly if NIGHTLY else usual
