"""Messages over HTTP: three routes, and a fast path for plain POSTs."""
