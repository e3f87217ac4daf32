"""Why a socket is not read right now: TCP then holds back the sender, so nothing is dropped."""

import asyncio
from enum import Flag, auto


class Hold(Flag):
    """The reasons; a socket is read when there is none."""

    NONE = 0
    GREETING = auto()  # CONNECT is being answered
    INTAKE = auto()  # the journal takes nothing more for now
    WRITING = auto()  # the peer does not read our acks
    UNANSWERED = auto()  # a broker sends more than it has agreed to before our acks


class Holding:
    """The reasons that hold for one transport."""

    __slots__ = ("_transport", "_why")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._why = Hold.NONE

    def __contains__(self, why: Hold) -> bool:
        """Whether one of these is a reason now."""
        return bool(self._why & why)

    def hold(self, why: Hold) -> None:
        if not self._why and not self._transport.is_closing():
            self._transport.pause_reading()
        self._why |= why

    def release(self, why: Hold) -> None:
        held, self._why = self._why, self._why & ~why
        if held and not self._why and not self._transport.is_closing():
            self._transport.resume_reading()
