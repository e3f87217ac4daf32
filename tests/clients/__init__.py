"""Clients of others at the same inputs; those that need building are built by `building.py`."""
