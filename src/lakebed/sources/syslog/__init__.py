"""Takes syslog messages over TCP, TLS and UDP (RFC 5424, RFC 3164)."""
