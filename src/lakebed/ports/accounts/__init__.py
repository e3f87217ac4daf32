"""People, programs and devices: who they are, what they belong to, and how they prove it."""
