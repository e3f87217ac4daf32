"""Questions about what policies kept: which policy answers, and the answer page by page."""
