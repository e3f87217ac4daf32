"""The catalog: the SQL store of policies, checkpoints, last values and tokens."""
