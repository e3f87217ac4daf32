"""Documents: what people write, in sections that features contribute."""
