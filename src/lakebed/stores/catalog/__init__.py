"""The SQL store: policies, checkpoints, last values, tokens, dead letters."""
