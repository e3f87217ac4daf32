"""Benchmarks anyone can run: `python -m bench.SCENARIO`. What counts is rows in the store."""
