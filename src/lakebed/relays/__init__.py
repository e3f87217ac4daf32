"""Relays: named consumers that pass on messages, and what policies gave, to other systems.

    journal ──absorb──> RelayShard ──head, duplicates──┐   one consumer `relays` of the journal
                        (one per partition)            │   for all relays: who has a partition
                                                       v   serves its lanes of every relay
    journal ──entries──> MessageSource ──┐
                         (recent entries │
                          are cached)    ├─Piece─> filter, transform, template ─> lanes by topic
    outbox  ───────────> PolicySource  ──┘                                          │
       ^                                                                       Delivery
       └─ keeper: what policies gave, saved in the                                  v
          transaction of its checkpoint               retries, back-off, rate ──> Target
                                                                                    │
                                             positions, dead letters ──> catalog <──┘

    documents.py    the document of a relay: `from`, `to`, `filter`, `transform`, `template`, `hold`
    service.py      the consumer of a process: begins, ends, takes up changed relays
    shard.py        a partition: duplicates, `hold`, checkpoints
    relaying.py     one relay in one partition: reads, and hands records to lanes
    lanes.py        order, deliveries, retries; asking.py and circuit.py say when
    pool.py         the threads
    source.py       the contract of what a relay reads; messages.py, policy_source.py
    policy_source.py    what a policy gave; policy_records.py, whole_windows.py make records of it
    backfilling.py  what a policy had kept, as a stream of the outbox for one relay
    targets/        one file for each kind of target

A relay that lies behind reads by itself from its own position, so a dead target never holds up the
others. The shard commits the lowest position of all relays, each at most `hold` behind the head:
one that is further behind is paused, its gap is recorded, and the journal may trim.
"""
