"""Every contract between the parts, one module for each who uses it.

    gateway side (asyncio)               consumer side (plain threads)

    sources ──> Intake ──> Appender      Consumable ──> keeper ──> SeriesWriter
                              │              ^             └─────> LastValueStore, CheckpointStore
                              └── journal ───┴──> JournalReader: taps, previews, rebuilds

    journal/   appending, consuming, reading, operating, backup, succession; journal: all of them
    catalog/   policies, checkpoints, last_values, dead_letters, erasures, content; catalog: all
    series     records and windows: write, read, erase, copy         question, cursors: what is read
    tokens, objects, erasure, health

`stores/opening.py` decides by URL which adapter serves. A signature names the narrow protocol that
it needs. Two rules hold for all adapters. Foreign exceptions become those of `vocabulary/errors.py`
at the adapter and nowhere else. And nothing on this side of a port may ask which adapter it got.
"""
