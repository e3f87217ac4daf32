"""The outbox: what policies gave, noted by the keeper for the relays that follow them.

    PolicyTask.drain ──effects──> Outgoing ──blocks, with the checkpoint──> catalog ──> relays

Rows reach the series between two checkpoints, and are written again after a crash. What is passed
on must exist once: so it waits in memory until the state that it came out of is saved, and is saved
with it. A keeper that dies before drains again, from the same state.

    blocks.py    what a block holds, and its bytes
    outgoing.py  what one task gave since its last checkpoint
    pages.py     the same of what is read again, for backfills
    erasing.py   deletes by request what waits
"""
