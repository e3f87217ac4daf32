"""Questions about what policies kept, and their answers, page by page."""
