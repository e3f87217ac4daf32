"""Takes messages of the Graylog Extended Log Format over TCP, TLS and UDP."""
