"""Takes events off a bus over HTTP, and sends it figures of its own."""
