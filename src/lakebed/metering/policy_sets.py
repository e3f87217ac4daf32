"""Which policies the messages of a chunk came to, and which kept them, as one small int each.

    codes of n messages ──a policy takes some of them──> other codes ──the next policy──> …

Messages of a topic mostly come to the same policies and are kept by the same, so there are few
sets, and one row of the ledger counts what would be a row for each policy.
"""

import numpy as np
from numpy.typing import NDArray

from lakebed.metering.segment import PolicySet
from lakebed.vocabulary.messages import Codes


class PolicySets:
    """Attributes:
    sets: by their codes; the first is the empty one.
    """

    def __init__(self) -> None:
        self.sets = [PolicySet()]
        self._codes = {self.sets[0]: 0}
        self._steps: dict[tuple[int, str, bool], int] = {}

    def __len__(self) -> int:
        return len(self.sets)

    def extend(
        self, codes: Codes, index: NDArray[np.intp], policy: str, outcomes: NDArray[np.uint8]
    ) -> None:
        """Add a policy to the sets of the messages that came to it.

        Args:
            codes: int32[n], the set of each message so far; changed in place.
            index: intp[m], ascending: the messages that came to the policy.
            outcomes: uint8[m], what became of them there; 0 where it kept them.
        """
        whole = len(index) == len(codes)
        before = codes if whole else codes[index]
        first = int(before[0])
        mixed, dropped = (before != first).any(), outcomes.any()
        if not mixed and not dropped:
            after: Codes | int = self._step(first, policy, True)
        else:
            after = self._stepped(before, policy, outcomes)
        if whole:
            codes[:] = after
        else:
            codes[index] = after

    def _stepped(self, before: Codes, policy: str, outcomes: NDArray[np.uint8]) -> Codes:
        kept = outcomes == 0
        after = np.empty_like(before)
        for became, chosen in ((True, kept), (False, ~kept)):
            codes = before[chosen]
            present = np.flatnonzero(np.bincount(codes))
            table = np.zeros(int(present[-1]) + 1 if len(present) else 0, np.int32)
            table[present] = [self._step(code, policy, became) for code in present.tolist()]
            after[chosen] = table[codes]
        return after

    def code(self, wanted: PolicySet) -> int:
        """The code of a set."""
        found = self._codes.setdefault(wanted, len(self.sets))
        if found == len(self.sets):
            self.sets.append(wanted)
        return found

    def _step(self, code: int, policy: str, kept: bool) -> int:
        step = (code, policy, kept)
        found = self._steps.get(step)
        if found is None:
            before = self.sets[code]
            wanted = PolicySet(
                tuple(sorted({*before.met, policy})),
                tuple(sorted({*before.kept, policy})) if kept else before.kept,
            )
            found = self._steps[step] = self.code(wanted)
        return found
