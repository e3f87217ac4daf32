"""The one way into the journal: batches offered messages and makes them durable."""
