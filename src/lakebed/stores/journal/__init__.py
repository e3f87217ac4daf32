"""The ordered, durable log of accepted messages: adapters of the port `Journal`."""
