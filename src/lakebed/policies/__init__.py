"""The policy document and its pure rules: no I/O, no clock, no store."""
