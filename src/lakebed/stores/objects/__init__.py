"""The object store: whole files under names, in a folder or in S3."""
