"""Arms the fault layer `shim.c`, and speaks to it from within its process."""

import ctypes
import errno
import os
from dataclasses import dataclass
from pathlib import Path

WRITE, SYNC, TRUNCATE, RENAME, UNLINK = 1, 2, 4, 8, 16
EVERY = WRITE | SYNC | TRUNCATE | RENAME | UNLINK


@dataclass(frozen=True)
class Fault:
    """What happens to an operation that is to fail.

    Attributes:
        calls: which operations are counted, and fail.
        manner: 0 nothing is done; 1 half is written before the error; 2 half, and no error.
        times: how many operations in a row.
    """

    calls: int
    error: int
    manner: int = 0
    times: int = 1


FAULTS = {
    "EIO": Fault(EVERY, errno.EIO),
    "ENOSPC": Fault(EVERY, errno.ENOSPC),
    "half written, then ENOSPC": Fault(WRITE, errno.ENOSPC, manner=1),
    "half written, then EIO": Fault(WRITE, errno.EIO, manner=1),
    "short write": Fault(WRITE, 0, manner=2),
    "EIO of names": Fault(RENAME | UNLINK, errno.EIO),
    "ENOSPC for a while": Fault(WRITE | TRUNCATE, errno.ENOSPC, times=12),
}


def environment(shim: Path) -> dict[str, str]:
    """The environment of a process that the shim is preloaded into, not armed."""
    return {**os.environ, "LD_PRELOAD": str(shim), "OPENBLAS_NUM_THREADS": "1"}


def armed(shim: Path, folder: Path, fault: Fault, nth: int) -> dict[str, str]:
    """The same, armed from its beginning."""
    values = {
        "FOLDER": folder,
        "CALLS": fault.calls,
        "NTH": nth,
        "ERROR": fault.error,
        "MANNER": fault.manner,
        "TIMES": fault.times,
    }
    return environment(shim) | {f"FAULT_{name}": str(value) for name, value in values.items()}


class Shim:
    """The shim preloaded into this very process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.fault_arm.argtypes = [
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        ]
        self._library.fault_fired.restype = ctypes.c_char_p

    def arm(self, path: Path, fault: Fault, nth: int) -> None:
        self._library.fault_arm(
            bytes(path), fault.calls, nth, fault.error, fault.manner, fault.times
        )

    def disarm(self) -> None:
        self._library.fault_arm(b"", 0, 0, 0, 0, 0)

    def fired(self) -> str:
        """The operation that failed first, and its file; "" when none did."""
        return bytes(self._library.fault_fired()).decode()
