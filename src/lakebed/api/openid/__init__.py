"""An OpenID provider: Grafana and others sign people in with their account here."""
