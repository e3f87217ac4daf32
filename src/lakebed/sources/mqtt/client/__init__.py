"""The client of brokers."""
