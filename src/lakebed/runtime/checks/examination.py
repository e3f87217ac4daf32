"""The checks of a running process, for its overview: now and then, because fsyncs are measured."""

import threading
import time
from collections.abc import Callable, Sequence

from lakebed.diagnosis.finding import Finding, bad
from lakebed.runtime.checks.contradictions import contradictions
from lakebed.runtime.checks.disks import disks
from lakebed.runtime.settings import Settings

FRESH = 300.0
"""Seconds for which the findings are used."""


class Examination:
    """Examines the settings and the disks of a home. Any thread; one at a time examines."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._monotonic = settings, monotonic
        self._lock = threading.Lock()
        self._until = 0.0
        self._found: Sequence[Finding] = ()

    def findings(self) -> Sequence[Finding]:
        """What was found, at most five minutes ago. Blocks."""
        with self._lock:
            now = self._monotonic()
            if now >= self._until:
                self._found, self._until = self._examine(), now + FRESH
            return self._found

    def _examine(self) -> Sequence[Finding]:
        try:
            return (*contradictions(self._settings), *disks(self._settings))
        except OSError as error:
            return (bad("disk", f"{self._settings.home}: {error.strerror}"),)
