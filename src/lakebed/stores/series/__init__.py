"""The series store: records and windows of aggregates."""
