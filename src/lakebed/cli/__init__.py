"""The command line: one file for each command, with imports made when it runs."""
