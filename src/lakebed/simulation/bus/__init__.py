"""A bus over HTTP for development and tests, which fails on request."""
