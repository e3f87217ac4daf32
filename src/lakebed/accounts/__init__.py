"""Accounts, units and shares: their documents, passwords, second factors and signing in."""
