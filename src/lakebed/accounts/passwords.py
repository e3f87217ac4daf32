"""Checks and hashes passwords.

A hash takes tens of milliseconds of CPU and megabytes of memory on purpose. So hashes are
computed by few threads of low priority, and few callers wait for them: attempts to sign in cannot
starve ingest.
"""

import asyncio
import os
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from lakebed.vocabulary.errors import Unavailable

T = TypeVar("T")

SHORTEST = 8  # characters; ASVS 5.0 6.2.1
LONGEST = 1024  # characters; all of them count

_WAITING = 32
"""Callers that wait at one time; more are told to come again."""

_FILES = files("lakebed.accounts")
_COMMON = frozenset(_FILES.joinpath("common.txt").read_text().split())
"""Words that the commonest passwords are made of, with digits and signs at their ends."""

_LEET = str.maketrans("4@310$5!7", "aaeiossit")
_RUNS = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz")
_ENDS = re.compile(r"^[\d\W_]+|[\d\W_]+$")


def fault_of_password(password: str, names: Iterable[str] = ()) -> str | None:
    """Why a password may not be used; None for a good one.

    Args:
        names: of the user, which it must not be.
    """
    if len(password) < SHORTEST:
        return f"it is at least {SHORTEST} characters long; a few words are better"
    if len(password) > LONGEST:
        return f"it is at most {LONGEST} characters long"
    if _is_common(password) or _words(password) & {name.casefold() for name in names}:
        return "it is one of those that are tried first: choose another"
    return None


def _is_common(password: str) -> bool:
    folded = password.casefold()
    if len(set(folded)) <= 2 or _halves(folded) <= 3 or any(folded in run for run in _RUNS):
        return True
    return bool(_words(password) & (_COMMON | {""})) or folded in _commonest()


@cache
def _commonest() -> frozenset[str]:
    """The 11,611 commonest passwords of `SHORTEST` characters and more that were ever published.

    Of the list of zxcvbn, whose licence is in `commonest.LICENSE`.
    """
    return frozenset(_FILES.joinpath("commonest.txt").read_text().split("\n"))


def _halves(text: str) -> int:
    """The length of the shortest text whose repetition this is."""
    return next(n for n in range(1, len(text) + 1) if (text[:n] * len(text))[: len(text)] == text)


def _words(password: str) -> set[str]:
    """A password without digits and signs at its ends, as written and with 4 read as a."""
    folded = password.casefold()
    return {_ENDS.sub("", folded), _ENDS.sub("", folded).translate(_LEET), folded.translate(_LEET)}


class Passwords:
    """Makes and checks hashes (argon2id, RFC 9106).

    Args:
        hasher: with the parameters of new hashes.
        workers: threads that work them out; by default for half of the cores, at most four.
    """

    def __init__(self, hasher: PasswordHasher | None = None, workers: int | None = None) -> None:
        # OWASP: 46 MiB, once, one lane
        self._hasher = hasher or PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1)
        workers = workers or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._pool = ThreadPoolExecutor(workers, "password", initializer=_yield_to_others)
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self._nobody = _unmatched(self._hasher)

    async def run(self, work: Callable[[], T]) -> T:
        """Run what hashes in one of the few threads for it.

        Raises:
            Unavailable: too many wait already.
        """
        if not self._waiting.acquire(blocking=False):
            raise Unavailable("too many people sign in at this moment: try again")
        running = self._pool.submit(work)
        running.add_done_callback(lambda _: self._waiting.release())
        return await asyncio.wrap_future(running)

    def hash(self, password: str) -> str:
        """Blocks for tens of milliseconds."""
        return self._hasher.hash(password.encode("utf-8", "surrogatepass"))

    def verify(self, hash: str | None, password: str) -> bool:
        """Whether a password is the one of a hash; as slow where there is none."""
        given = password[: LONGEST + 1].encode("utf-8", "surrogatepass")
        try:
            self._hasher.verify(self._nobody if hash is None else hash, given)
        except (VerificationError, InvalidHashError):
            return False
        return hash is not None and len(password) <= LONGEST

    def is_outdated(self, hash: str) -> bool:
        """Whether a hash was made with other parameters than those of new ones."""
        return self._hasher.check_needs_rehash(hash)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def _unmatched(hasher: PasswordHasher) -> str:
    """A hash that no password has, and that takes as long to check as any; made without hashing."""
    salt, digest = (
        b64encode(os.urandom(length)).rstrip(b"=").decode()
        for length in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"


def _yield_to_others() -> None:
    """Give the threads of ingest the processor first; on Linux, threads have a niceness each."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
