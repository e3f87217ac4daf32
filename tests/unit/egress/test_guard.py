"""Names are looked up once, and what is called is what was judged."""

import socket
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from lakebed.egress.guard import Address, Egress, Refused, Unreachable


class Resolver:
    """Answers with the next list of addresses each time, at last with the same."""

    def __init__(self, *answers: Sequence[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[tuple[Any, ...]]:
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [(None, None, None, "", (ip, port)) for ip in answer]


def test_a_public_name_gives_its_addresses() -> None:
    found = Egress(lookup=Resolver(["1.1.1.1", "2606:4700::1111", "1.1.1.1"])).resolve("x.org", 443)
    assert list(found) == [
        Address("x.org", "1.1.1.1", 443, False),
        Address("x.org", "2606:4700::1111", 443, False),
    ]


def test_of_a_name_with_private_and_public_addresses_the_public_are_called() -> None:
    found = Egress(lookup=Resolver(["10.0.0.1", "1.1.1.1"])).resolve("x.org", 443)
    assert [address.ip for address in found] == ["1.1.1.1"]


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.1"],
        ["127.0.0.1", "::1"],
        ["169.254.169.254"],
        [],
        socket.gaierror("unknown"),
        UnicodeError("label too long"),
    ],
)
def test_names_without_a_public_address_are_refused_by_one_sentence(answer: Any) -> None:
    with pytest.raises(Refused) as refused:
        Egress(lookup=Resolver(answer)).resolve("inside.corp", 22)
    assert str(refused.value) == (
        "inside.corp:22 may not be called: the name has no address of the public internet;"
        " an admin can allow others by relays.allow_private"
    )


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0", "localhost", "[::1]",
     "::ffff:127.0.0.1", "[::ffff:7f00:1]", "", "a\0b", "fe80::1%lo", "x" * 300],
)  # fmt: skip
def test_no_way_of_writing_this_machine_gets_through(host: str) -> None:
    with pytest.raises(Refused):
        Egress().resolve(host, 80)


def test_what_is_listed_may_be_called_and_is_marked() -> None:
    egress = Egress(["127.0.0.1/32"])
    assert egress.resolve("localhost", 80) == (Address("localhost", "127.0.0.1", 80, True),)
    with pytest.raises(Refused):
        egress.resolve("127.0.0.2", 80)


def test_a_name_that_changes_its_mind_is_not_asked_again() -> None:
    """DNS rebinding: the second answer would lead inside."""
    resolver = Resolver(["1.1.1.1"], ["127.0.0.1"])
    dialled: list[str] = []
    Egress(lookup=resolver).connect("x.org", 80, 1.0, lambda one, left: dialled.append(one.ip))
    assert dialled == ["1.1.1.1"]
    assert resolver.asked == [("x.org", 80)]


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    def dial(address: Address, left: float) -> str:
        if address.ip == "1.1.1.1":
            raise ConnectionRefusedError
        assert 0 < left <= 2.0
        return "connected"

    egress = Egress(lookup=Resolver(["1.1.1.1", "1.0.0.1"]))
    opened, address = egress.connect("x.org", 80, 2.0, dial)
    assert (opened, address.ip) == ("connected", "1.0.0.1")


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(111, "refused"), TimeoutError(), ConnectionResetError("SSH-2.0")],
)
def test_of_private_addresses_all_failures_read_the_same(error: Exception) -> None:
    def dial(address: Address, left: float) -> None:
        raise error

    said = []
    for ip in ("10.0.0.1", "1.1.1.1"):
        with pytest.raises(Unreachable) as failed:
            Egress(["10.0.0.0/8"], Resolver([ip])).connect("inside", 22, 1.0, dial)
        said.append(str(failed.value))
    assert said[0] == "inside:22 does not answer as it should; the log of the instance says why"
    assert said[1] != said[0]  # of public ones users are told


def test_a_resolver_that_hangs_takes_no_longer_than_allowed() -> None:
    hanging = threading.Event()

    def lookup(host: str, port: int) -> list[tuple[Any, ...]]:
        hanging.wait(5)
        return []

    with pytest.raises(Refused):
        Egress(lookup=lookup, timeout=0.05).resolve("x.org", 80)
    hanging.set()
