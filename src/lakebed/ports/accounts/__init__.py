"""Users, programs and units: their memberships, permissions and credentials."""
