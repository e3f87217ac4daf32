"""Deletes by request what waits in the outbox."""

from lakebed.outbox.blocks import decode, replaced
from lakebed.ports.catalog.outbox import OutboxWriter
from lakebed.ports.erasure import Erasure


def erase(outbox: OutboxWriter, partition: int, wanted: Erasure) -> None:
    """Take the data out of the blocks of a partition, and of those that are for one relay alone.

    Within the transaction that is open. Numbers stay: a reader passes over those that are missing.
    """
    for stream in outbox.outbox_streams(wanted.owner, wanted.policy):
        if stream.partition != partition and not stream.reader:
            continue
        offset = 0
        while found := outbox.outbox_blocks(stream, offset):
            block, noted = found[0], decode(found[0])
            offset = block.end
            left = noted.without(wanted)
            if left is not noted:
                outbox.replace_outbox(replaced(block, left))
