"""Sparse columns of several reads in one batch."""

import numpy as np

from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.sparse import Sparse, SparseBuilder

A, B = Attributes(principal="unit:a"), Attributes(principal="unit:b")


def test_attributes_of_reads_may_be_lists_or_numbered_already() -> None:
    for first in ([A, B, A], Coded(np.array([0, 1, 0], np.int32), (A, B))):
        builder = SparseBuilder()
        builder.add(1, Sparse(attributes=first))  # type: ignore[arg-type]
        builder.add(4, Sparse(attributes=[B, Attributes("", "unit:a")]))  # type: ignore[arg-type]
        found = builder.build(7).attributes
        assert found is not None
        assert [found[i] for i in range(7)] == [NO_ATTRIBUTES, A, B, A, B, A, NO_ATTRIBUTES]
        assert len(found.table) == 3
