"""Cases whose input and output are data; README.md says how they are made."""
