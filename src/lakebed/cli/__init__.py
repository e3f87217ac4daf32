"""The command line: each command in a file of its own, importing what it needs when it runs."""
