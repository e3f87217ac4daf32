"""The client that joins brokers."""
