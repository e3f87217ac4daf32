"""The operating system: files that survive a loss of power, lingering close, names of threads."""
