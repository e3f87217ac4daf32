"""HTTP as every route speaks it: problem documents, bounded request bodies, bearer tokens."""
