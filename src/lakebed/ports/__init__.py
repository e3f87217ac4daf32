"""Every contract between the parts, divided by the parts that use it.

    gateway side (asyncio)               consumer side (plain threads)

    sources ──> Intake ──> Appender      Consumable ──> keeper ──> SeriesWriter
                              │              ^             └─────> LastValueStore, CheckpointStore
                              └── journal ───┴──> JournalReader: taps, previews, rebuilds

    journal/   appending, consuming, reading, operating, backup, succession; journal: all of them
    catalog/   policies, checkpoints, last_values, dead_letters, erasures, content; catalog: all
    series     records and windows: write, read, erase, copy         question, cursors: what is read
    tokens, objects, erasure, health

`stores/opening.py` chooses the adapter by its URL. A signature names the narrow protocol that it
needs. Two rules hold for all adapters: they alone translate foreign exceptions into those of
`vocabulary/errors.py`, and no user of a port asks which adapter it has.
"""
