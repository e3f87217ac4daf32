"""Opens targets of relays with what they may use of the instance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lakebed.egress.guard import Egress
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.objects import Objects
from lakebed.ports.relays import (
    Delivery,
    Position,
    Record,
    Refused,
    Target,
    TargetUnavailable,
)
from lakebed.relays import targets
from lakebed.relays.documents import Spec
from lakebed.relays.letters import record_of
from lakebed.relays.targets.target import Surroundings
from lakebed.relays.templates import TooLarge
from lakebed.secrets.references import is_reference
from lakebed.secrets.resolving import Secrets
from lakebed.secrets.values import Secret
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.times import now

_APART = "/letters"

Note = Callable[[str, Secret], object]


def _unnoted(reference: str, secret: Secret) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class TargetOpener:
    """Opens targets; any thread.

    Attributes:
        objects: opens the object store of the targets that write files.
    """

    secrets: Secrets
    egress: Egress
    objects: Callable[[], Objects] | None = None

    def open(
        self, spec: Spec, partition: int, lane: int, note: Note = _unnoted, apart: str = ""
    ) -> Target:
        """The target of a lane; connects to nothing yet.

        Args:
            note: called with each secret that the target asks for, and its value.
            apart: makes it one of another identity, which shares no position with the relay.
        """
        around = Surroundings(
            relay=spec.id + apart,
            partition=partition,
            lane=lane,
            secret=partial(self._secret, spec, note),
            timeout=spec.timeout,
            egress=self.egress,
            objects=self.objects,
        )
        return targets.kind(spec.target).open(spec.options, around)

    def _secret(self, spec: Spec, note: Note, text: str) -> str:
        if not is_reference(text):
            return text
        try:
            secret = self.secrets.resolve(spec.owner, text, f"relays/{spec.name}")
        except LakebedError as error:
            raise TargetUnavailable(str(error)) from None
        note(text, secret)
        return secret.reveal()

    def send_again(self, spec: Spec, letters: Sequence[DeadLetter]) -> list[str]:
        """Send dead letters of one partition again, now; in a lane of their own.

        Returns:
            for each letter why the target refuses it again; "" for those that it took.

        Raises:
            TargetUnavailable: none of them was taken, as far as is known.
        """
        partition, relay = letters[0].partition, spec.id + _APART
        reasons = [""] * len(letters)
        target = self.open(spec, partition, 0, apart=_APART)
        records: dict[int, Record] = {}
        for index, letter in enumerate(letters):
            try:
                records[index] = record_of(letter, spec.template)
            except TooLarge as error:
                reasons[index] = str(error)
        try:
            target.position()
            left = list(records)
            while left:
                # each is newer than the one before, whatever letters are in it
                position = Position(relay, partition, 0, now())
                id = f"{relay}/{partition}/{'.'.join(str(letters[i].offset) for i in left)}"
                delivery = Delivery(id, [records[i] for i in left], position)
                try:
                    refusals, whole = target.send(delivery), True
                except Refused as error:
                    refusals, whole = error.refusals, False
                for refusal in refusals:
                    reasons[left[refusal.index]] = refusal.reason
                gone = {refusal.index for refusal in refusals}
                left = [] if whole else [i for n, i in enumerate(left) if n not in gone]
        finally:
            target.close()
        return reasons
