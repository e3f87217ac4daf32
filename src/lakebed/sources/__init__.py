"""Where messages come from. Every source hands columns to the `Intake` and acks when told."""
