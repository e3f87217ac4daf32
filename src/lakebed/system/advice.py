"""Advice on errors of the operating system, for messages."""

import errno
import os
import re

_ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "the quota of this user is used up: raise it, or free some space there",
    errno.EROFS: "see the kernel's log (dmesg) for why, and mount it again",
    errno.EIO: "the disk fails: see the kernel's log (dmesg)",
    errno.EACCES: "change its owner or mode, or choose another place",
    errno.EPERM: "change its owner or mode, or choose another place",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}
_NUMBER = re.compile(r"os error (\d+)")


def reason(error: BaseException) -> str:
    """An error in one line, with advice if there is any."""
    found = _NUMBER.search(str(error))  # as libraries in Rust tell it
    number = error.errno if isinstance(error, OSError) and error.errno else None
    if number is None and found is not None:
        number = int(found[1])
    if number is None:
        return (str(error).splitlines() or [type(error).__name__])[0]
    advice = _ADVICE.get(number)
    return os.strerror(number) + (f"; {advice}" if advice else "")


def advice(error: OSError) -> str:
    """What to do about an error; general advice if the error is not known."""
    return _ADVICE.get(error.errno or 0, "see the kernel's log (dmesg), or choose another place")
