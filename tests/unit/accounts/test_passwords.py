"""Which passwords are refused, and how their hashes are made."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from lakebed.accounts import passwords as passwords_module
from lakebed.accounts.passwords import SHORTEST, Passwords, fault_of_password
from lakebed.vocabulary.errors import Unavailable

WEAK = PasswordHasher(1, 8, 1)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(WEAK, workers=1)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password",
        "Password2026!",
        "P@ssw0rd1",
        "12345678",
        "87654321",
        "aaaaaaaaaa",
        "abababababab",
        "abcabcabcabc",
        "qwertyuiop",
        "31.12.1999",
        "lakebed-1",
        "ann-marie2026",
        "x" * 1025,
        "1qaz2wsx",
        "Samantha",
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    assert fault_of_password(password, ["ann-marie"]) is not None


def test_the_commonest_of_a_length_that_is_allowed_are_refused() -> None:
    """ASVS 5.0, 6.2.4: at least 3,000 of them; and 6.2.12, as they come from breaches."""
    commonest = passwords_module._commonest()
    assert len(commonest) > 11_000
    assert all(len(password) >= SHORTEST for password in commonest - {""})
    assert all(fault_of_password(password) for password in list(commonest)[:3_000])


@pytest.mark.parametrize(
    "password",
    ["a few words of hers", "correct horse battery staple", "k3#vZ!p9", "пароль из слов"],
)
def test_nothing_is_asked_of_what_a_password_is_made_of(password: str) -> None:
    assert fault_of_password(password, ["ann"]) is None


def test_all_of_a_long_password_counts(passwords: Passwords) -> None:
    long = "é" * 1023
    hash = passwords.hash(long + "a")
    assert passwords.verify(hash, long + "a")
    assert not passwords.verify(hash, long + "b")
    assert not passwords.verify(hash, long + "ab")


def test_where_there_is_no_hash_every_password_is_wrong(passwords: Passwords) -> None:
    assert not passwords.verify(None, "nobody's")
    assert not passwords.verify("no hash at all", "nobody's")


def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(passwords.hash("words"))
    assert passwords.is_outdated(PasswordHasher(2, 8, 1).hash("words"))
    assert passwords.hash("words").startswith("$argon2id$")


def test_few_wait_for_a_hash_and_others_are_put_off(passwords: Passwords) -> None:
    asyncio.run(_flood(passwords))
    passwords.close()


async def _flood(passwords: Passwords) -> None:
    go_on = threading.Event()
    waiting = [asyncio.create_task(passwords.run(go_on.wait)) for _ in range(32)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many"):
        await passwords.run(go_on.wait)
    go_on.set()
    assert all(await asyncio.gather(*waiting))
    assert await passwords.run(lambda: 7) == 7
