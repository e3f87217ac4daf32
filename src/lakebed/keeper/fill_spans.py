"""Which offsets of a partition each policy has worked through, so that nothing is kept twice.

    first of the journal    former span       the policy at work
    ────────────┬──────────[filled)──────────[live ─────────────>
                └── a gap: what a fill may read

A span is about a policy's name and the table that it writes to: a version of another kind or type
writes elsewhere, and has a past of its own. The last span of a policy at work has no end.
"""

from collections.abc import Iterable

from lakebed.kinds import KINDS
from lakebed.vocabulary.policy import Policy

Span = tuple[int, int | None]


def span_key(policy: Policy) -> str:
    table = KINDS[policy.keep].tables.get(policy.type)
    return _key(policy.owner, policy.name, "last values" if table is None else table.name)


def _key(owner: str, name: str, table: str) -> str:
    return f"{owner}/{name}/{table}"


class Spans:
    """The spans of all policies in one partition, ascending, none touching another.

    Attributes:
        changed: whether they are others than when this was set to False.
    """

    def __init__(self, spans: dict[str, list[Span]] | None = None) -> None:
        self._spans = spans or {}
        self._ended = {key for key, found in self._spans.items() if _has_end(found)}
        self.changed = False

    def to_dict(self) -> dict[str, list[Span]]:
        return self._spans

    def live(self, policy: Policy) -> int | None:
        """Where the policy that is at work began; None if it is not at work."""
        spans = self._spans.get(span_key(policy), [])
        return spans[-1][0] if spans and spans[-1][1] is None else None

    def begin(self, policy: Policy, offset: int) -> None:
        """Note that a policy is at work from an offset on; nothing if it is already."""
        if self.live(policy) is None:
            self._set(span_key(policy), [*self._spans.get(span_key(policy), []), (offset, None)])

    def end(self, policy: Policy, offset: int) -> None:
        """Note that a policy is at work no more."""
        if (began := self.live(policy)) is not None:
            key = span_key(policy)
            self._set(key, [*self._spans[key][:-1], (began, offset)])

    def add(self, policy: Policy, start: int, end: int) -> None:
        """Note what was filled."""
        key = span_key(policy)
        self._set(key, [*self._spans.get(key, []), (start, end)])

    def gaps(self, policy: Policy, start: int) -> list[tuple[int, int]]:
        """What a policy at work has not seen from an offset on, before it began."""
        found: list[tuple[int, int]] = []
        if self.live(policy) is None:
            return found
        for begin, end in self._spans[span_key(policy)]:
            if start < begin:
                found.append((start, begin))
            start = begin if end is None else max(start, end)
        return found

    def clear(self, owner: str, name: str, below: int) -> None:
        """Forget what a policy saw below an offset: all that it kept of it is deleted."""
        prefix = _key(owner, name, "")
        for key in [key for key in self._spans if key.startswith(prefix)]:
            left = [(max(s, below), e) for s, e in self._spans[key] if e is None or e > below]
            self._set(key, left)

    def trim(self, first: int) -> None:
        """Forget spans below the journal's first offset."""
        for key in list(self._ended):
            spans = self._spans[key]
            left = [span for span in spans if span[1] is None or span[1] > first]
            if len(left) < len(spans):
                self._set(key, left)

    def _set(self, key: str, spans: Iterable[Span]) -> None:
        joined: list[Span] = []
        for start, end in sorted(spans, key=lambda span: span[0]):
            if start == end:
                continue
            if joined and (joined[-1][1] is None or start <= joined[-1][1]):
                before, until = joined[-1]
                joined[-1] = (before, None if until is None or end is None else max(until, end))
            else:
                joined.append((start, end))
        self.changed = True
        self._ended.discard(key)
        if not joined:
            self._spans.pop(key, None)
            return
        self._spans[key] = joined
        if _has_end(joined):
            self._ended.add(key)


def _has_end(spans: Iterable[Span]) -> bool:
    return any(end is not None for _, end in spans)
