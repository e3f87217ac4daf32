"""The keeper reads the journal and keeps of every topic what its policies ask for."""
