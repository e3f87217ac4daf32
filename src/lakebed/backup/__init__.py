"""Backup and restore: the stores as of one moment, in a folder or an object store."""
