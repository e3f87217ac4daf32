"""HTTP as every route speaks it: connections, problem documents, bounded bodies, tokens."""
