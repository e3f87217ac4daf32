"""What every attack has: an oracle, clients that go on whatever happens, questions afterwards."""

import random
import time
from collections import Counter

from tests.crash import promises
from tests.crash.oracle import SEED, Oracle
from tests.crash.senders import Editor, Sender, SingleSender
from tests.server import Server, eventually


class Attack:
    """Attributes:
    server: whom clients talk to.
    before: what its flow had counted before the oracle's senders began.
    """

    def __init__(self, server: Server) -> None:
        print(f"seed {SEED}: LAKEBED_SEED={SEED} repeats the choices of this run")
        self.dice = random.Random(SEED)
        self.oracle = Oracle()
        self.server = server
        self.before: Counter[str] = Counter()
        self.senders: list[Sender] = []
        self.editor: Editor | None = None

    def begin(self, *senders: Sender) -> None:
        self.senders += senders
        for sender in senders:
            sender.start()

    def edit(self) -> None:
        """Let policies be edited from now on."""
        self.editor = Editor(self.server, SEED, [*promises.EDITED, *promises.TURNING])
        self.editor.start()

    def finish(self) -> None:
        """The faults have stopped: all senders come to their end, and the keeper catches up."""
        if self.editor is not None:
            self.editor.finish()
        for sender in self.senders:
            sender.finish()
        self.server.settle(seconds=promises.SETTLE)

    def check(self) -> None:
        promises.check_everything(self.server, self.oracle, self.before)

    def check_fresh(self) -> None:
        """A message that is sent now is there within 30 s, and everything else still is."""
        sender = SingleSender(self.oracle, "fresh", SEED, self.server, ids=True)
        message = sender.one()
        began = time.monotonic()
        eventually(lambda: self._is_there(message.topic, message.payload), 30)
        print(f"a fresh message went through in {time.monotonic() - began:.1f} s")

    def _is_there(self, topic: str, payload: str) -> bool:
        rows = self.server.records(topic, promises.EVERYTHING["name"])
        return any(row["value"] == payload for row in rows)
