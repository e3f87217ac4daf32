"""How anything reads the journal: all that its consumers have in common.

    loop.py            a thread that polls, lets workers absorb, write and save, and commits
    worker.py          the contract: what a consumer does for one partition
    assignment.py      partitions come and go, each with its worker
    checkpoints.py     what a worker saves, under its claim of the partition
    deduplication.py   leaves out messages that are in the journal twice
    pacing.py          when to write and to save, on clocks that are passed in
    retry.py           asks a store until it answers
    chores.py          further work of a consumer, in each turn of the loop
    feed.py            the live tap: reads the journal without being a consumer

To add a consumer: a name, and a `PartitionWorker`. The keeper is one (`keeper/`).
"""
