"""Backup and restore: consistent copies of the stores, in a folder or an object store."""
