"""Traces what the keeper does with messages whose append was traced: absorb, then write.

contexts of a chunk ──> absorb ──┐
                                 ├──> write: the next one after them
contexts of a chunk ──> absorb ──┘
"""

from collections.abc import Iterator
from contextlib import contextmanager

from lakebed.keeper.chunk import Chunk
from lakebed.ports.tracing import MOST, Tracer, contexts


class KeeperTraces:
    """Of one keeper, on its thread.

    Args:
        tracer: None: nothing is traced.
    """

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer
        self._absorbed: list[str] = []

    @contextmanager
    def absorbing(self, chunk: Chunk) -> Iterator[None]:
        """Trace the work on a chunk, if some of it is traced."""
        found = [] if self._tracer is None else contexts(chunk.sparse.attributes)
        span = self._tracer.start("absorb", found) if self._tracer and found else None
        if span is None:
            yield
            return
        failed = "cancelled"
        try:
            yield
            failed = ""
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            span.end(failed, messages=len(chunk))
        self._absorbed = [*self._absorbed, span.context][-MOST:]

    @contextmanager
    def writing(self, effects: int) -> Iterator[None]:
        """Trace a write to the stores, if it comes after traced chunks.

        Args:
            effects: how many things are written.
        """
        if self._tracer is None or not self._absorbed or not effects:
            yield
            return
        absorbed, self._absorbed = self._absorbed, []
        span = self._tracer.start("write", absorbed)
        failed = "cancelled"
        try:
            yield
            failed = ""
        except Exception as error:
            failed = type(error).__name__
            raise
        finally:
            if span is not None:
                span.end(failed, effects=effects)
