"""A consumer on one page (`tests/counting.py`) counts each message once, whatever happens to it.

What was stored is told by the archive of everything, which the keeper wrote: by topic it has as
many records as the consumer has counted messages.
"""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests import counting
from tests.cluster import Member, servers
from tests.crash import counting_command, promises
from tests.crash.attack import Attack
from tests.crash.fleet import Fleet
from tests.crash.oracle import SEED, times
from tests.crash.senders import BatchSender, MqttSender, SingleSender
from tests.server import Server, eventually

KILLS = times(6, 100)
ROUNDS = times(2, 30)
_AWAY = 8.0  # seconds that one is gone: shorter or longer than its session, which ends after 3
_STOP = 60.0  # seconds on a busy machine; ten are promised


def check_counts(attack: Attack, file: Path) -> None:
    """All that is stored is counted, once."""
    records = attack.server.records("o/#", promises.EVERYTHING["name"], limit=10_000)
    attack.oracle.check_stored(records)
    stored = Counter(record["topic"] for record in records)
    assert stored.total() > 0

    def counted() -> Counter[str]:
        found = counting.read(file).items()
        return Counter({c.topic: count for c, count in found if c.topic.startswith("o/")})

    eventually(lambda: counted() >= stored, 60)
    assert counted() == stored
    print(f"{stored.total()} messages on {len(stored)} topics counted")


@pytest.mark.slow(20)
@pytest.mark.timeout(200 + 10 * KILLS)
def test_kills_over_the_embedded_journal(tmp_path: Path) -> None:
    file = tmp_path / "counts.db"
    server = Server(tmp_path / "home", {"JOURNAL__SPAN": "1ms", "KEEPER__READ": "400"})
    server.module = counting_command.MODULE
    server.environment["COUNTS"] = str(file)
    with server:
        server.put_policies([promises.EVERYTHING])
        attack = Attack(server)
        oracle, port = attack.oracle, server.mqtt_port
        attack.begin(
            MqttSender(oracle, "qos-1-ids", SEED, server, port, qos=1, version=5, ids=True),
            MqttSender(oracle, "qos-2", SEED, server, port, qos=2, version=4),
            BatchSender(oracle, "batches", SEED, server),
            SingleSender(oracle, "singles", SEED, server, ids=True),
        )  # fmt: skip
        for _ in range(KILLS):
            time.sleep(attack.dice.uniform(0, 1.0))
            server.kill()
            oracle.died()
            server.start()
        attack.finish()
        check_counts(attack, file)
        assert server.stop() == 0


@pytest.mark.slow(70)
@pytest.mark.timeout(400 + 60 * ROUNDS)
@pytest.mark.server("kafka")
@pytest.mark.server("postgres")
def test_kills_hangs_and_rebalances_over_kafka(tmp_path: Path) -> None:
    file = tmp_path / "counts.db"
    with servers() as on, Fleet(tmp_path, on, gateways=2, keepers=1) as fleet:
        one, two = (started(fleet, file) for _ in range(2))
        fleet.send()
        for _ in range(ROUNDS):
            one.kill()
            time.sleep(fleet.dice.uniform(0, _AWAY))
            one.start()
            _hang(two, until_taken_over_by=one)
            guest = started(fleet, file)
            time.sleep(fleet.dice.uniform(0, 3))
            assert guest.stop(_STOP) == 0
        fleet.finish()
        check_counts(fleet, file)
        assert "partition lost to another worker" in two.output


def _hang(member: Member, until_taken_over_by: Member) -> None:
    """It wakes up as a worker that others have gone on without."""
    takeovers = _takeovers(until_taken_over_by)
    member.pause()
    eventually(lambda: _takeovers(until_taken_over_by) > takeovers, 60)
    member.resume()


def _takeovers(member: Member) -> int:
    return member.output.count("partition taken over")


def started(fleet: Fleet, file: Path) -> Member:
    """One more process that counts; it has partitions when this returns."""
    member = fleet.cluster.member(counting.CONSUMER)
    member.module = counting_command.MODULE
    member.environment["COUNTS"] = str(file)
    member.start()
    eventually(lambda: _takeovers(member) > 0, 60)
    return member
