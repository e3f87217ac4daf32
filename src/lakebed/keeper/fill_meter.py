"""What a fill kept, for the byte ledger.

A message was counted when it came in. So under its policy it is counted once more, and among all it
is taken back at once: sums by policy grow, the sum of what came in and was kept does not.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk
from lakebed.metering.partition import PartitionMeter, writer_of_fill
from lakebed.ports.catalog.ledger import LedgerSegment
from lakebed.vocabulary.messages import Channel


def meter_filled(
    partition: int,
    request: int,
    begin: int,
    policy: str,
    piece: Chunk,
    outcomes: NDArray[np.uint8],
    channels: Sequence[Channel],
    most: int,
) -> list[LedgerSegment]:
    """The segments of one slice.

    Args:
        request: of the fill.
        begin: where the slice begins; its segments are written once, or again with the same counts.
        piece: the messages on the policy's topics.
        most: rows, see `Tally`.
    """
    if not len(piece):
        return []
    meter = PartitionMeter(partition, channels, most, writer_of_fill(partition, request))
    policies = meter.start(len(piece))
    meter.deliver(policies, np.arange(len(piece)), policy, outcomes)
    attributes = piece.sparse.attributes
    columns = piece.channel, policies, piece.size, piece.received, attributes
    meter.count(begin, *columns)
    meter.take_back(begin, *columns)
    return meter.unsaved()
