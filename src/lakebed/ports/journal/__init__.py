"""The journal: the one ordered, durable log. Partitions are numbered from 0."""
