"""A fleet of made-up devices, driven over real connections."""
