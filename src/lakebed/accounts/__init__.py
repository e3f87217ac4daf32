"""What people do with accounts, units and shares: documents, passwords, signing in."""
