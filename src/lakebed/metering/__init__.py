"""The byte ledger: counts messages and bytes by hour, owner, unit, topic and policy."""
