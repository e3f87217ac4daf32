"""Limits on what owners and units send: decided at the edge, and recorded with the messages."""
