"""The intake stands between all sources and the journal: group commit, once for everybody.

connection ─┐ offer()                        one append at a time
connection ─┼────────> [ gathering batch ] ────────────────────> Journal.append
request    ─┘              ^                                          │
     ^                     └── fills while the append before it runs  │
     └────────── done(None): durable, acknowledge ────────────────────┘
"""
