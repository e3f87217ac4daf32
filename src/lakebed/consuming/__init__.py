"""How anything reads the journal."""
