"""Reads topics of others at Kafka, as a member of a group."""
