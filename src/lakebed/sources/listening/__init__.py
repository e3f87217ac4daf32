"""Listeners for protocols without acknowledgements and tokens: what syslog and GELF share."""
