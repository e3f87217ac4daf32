"""The HTTP API: ingest as plain ASGI, control and queries as a FastAPI application."""
