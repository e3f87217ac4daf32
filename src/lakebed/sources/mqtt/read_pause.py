"""Pauses reading a socket for one or more reasons. TCP then holds back the sender: no loss."""

import asyncio
from enum import Flag, auto


class PauseReason(Flag):
    """Why a socket is not read. It is read while no reason is set."""

    NONE = 0
    CONNECTING = auto()  # CONNECT is not answered yet
    INTAKE = auto()  # the intake's gate is shut
    WRITING = auto()  # the peer does not read our acks
    UNANSWERED = auto()  # a broker ignores the agreed Receive Maximum
    LIMIT = auto()  # more was sent than a limit allows


class ReadPause:
    """Pauses one transport while any reason is set."""

    __slots__ = ("_reasons", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._reasons = PauseReason.NONE

    def __contains__(self, reason: PauseReason) -> bool:
        """Whether any of these reasons is set."""
        return bool(self._reasons & reason)

    def pause(self, reason: PauseReason) -> None:
        if not self._reasons and not self._transport.is_closing():
            self._transport.pause_reading()
        self._reasons |= reason

    def resume(self, reason: PauseReason) -> None:
        held, self._reasons = self._reasons, self._reasons & ~reason
        if held and not self._reasons and not self._transport.is_closing():
            self._transport.resume_reading()
