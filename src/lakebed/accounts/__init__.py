"""The documents of units and shares: what they may say."""
