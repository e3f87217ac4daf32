"""The one way into the journal: what sources offer is gathered and made durable."""
