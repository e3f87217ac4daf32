"""Traces for a collector, errors for Sentry; both off by default."""
