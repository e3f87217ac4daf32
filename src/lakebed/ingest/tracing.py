"""Traces appends: how long messages waited for one, and how long it took.

    contexts of its requests ──> receive ──> append ──context with the first message──> journal

A consumer of the journal goes on from there.
"""

from dataclasses import replace

import numpy as np

from lakebed.ports.tracing import Span, Tracer, contexts, with_context
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Coded
from lakebed.vocabulary.messages import Batch


class AppendTrace:
    """The spans of one append."""

    def __init__(self, receive: Span, append: Span, messages: int) -> None:
        self._receive, self._append, self._messages = receive, append, messages

    def end(self, failed: str = "") -> None:
        self._append.end(failed, messages=self._messages)
        self._receive.end(failed, messages=self._messages)


def begin(tracer: Tracer, batch: Batch) -> tuple[Batch, AppendTrace | None]:
    """Begin to trace the append of a batch, if it is to be traced.

    Returns:
        the batch, whose first message has the context of the append.
    """
    if not len(batch):
        return batch, None
    receive = tracer.start(
        "receive", contexts(batch.sparse.attributes), since=int(batch.received.min())
    )
    if receive is None:
        return batch, None
    append = tracer.start("append", [receive.context])
    if append is None:
        receive.end()
        return batch, None
    return _marked(batch, append.context), AppendTrace(receive, append, len(batch))


def _marked(batch: Batch, context: str) -> Batch:
    """The batch with the context among the attributes of its first message."""
    attributes = batch.sparse.attributes
    if attributes is None:
        attributes = Coded.constant(NO_ATTRIBUTES, len(batch))
    codes = attributes.codes.copy()
    codes[0] = len(attributes.table)
    table = (*attributes.table, with_context(attributes[0], context))
    marked = Coded(codes.astype(np.int32, copy=False), table).compact()
    return replace(batch, sparse=batch.sparse._replace(attributes=marked))
