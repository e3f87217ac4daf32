"""The real command with one more role: `python -m tests.crash.counting_command up …`.

`counting` is the consumer of `tests/counting.py`; COUNTS in the environment names its file.
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from lakebed.cli.main import main
from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.loop import ConsumerLoop
from lakebed.ports.health import Health
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.process import Process
from lakebed.runtime.roles import ROLES
from lakebed.runtime.roles.role import Role
from tests.counting import CONSUMER, Counting

MODULE = "tests.crash.counting_command"
_STOP = 7.0  # seconds


async def _open(process: Process, _: Contribution) -> Contribution:
    loop = ConsumerLoop(
        CONSUMER, process.journal, process.catalog, partial(_worker, Path(os.environ["COUNTS"])),
        read=process.settings.keeper.read, on_failure=process.fail,
    )  # fmt: skip
    loop.start()
    process.stack.push_async_callback(asyncio.to_thread, loop.stop, _STOP)
    return Contribution(health={CONSUMER: partial(_health, loop)}, quiesce=(loop.quiesce,))


def _worker(file: Path, partition: int, end: int, checkpoints: PartitionCheckpoints) -> Counting:
    return Counting(partition, checkpoints, file)


def _health(loop: ConsumerLoop[Counting]) -> Health:
    message = loop.retry.failing or ("" if loop.running else "not running")
    return Health(not message, message)


if __name__ == "__main__":
    ROLES[CONSUMER] = Role(frozenset({"catalog", "journal"}), _open)
    sys.exit(main())
