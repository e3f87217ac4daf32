"""Boards: their documents, the rules of their tiles, and those that come with Lakebed."""
