"""Secrets of others by name: written, never read; `secret:NAME` in a document is one of them."""
