"""The web interface: pages of HTML over the same services and decisions as the API."""
