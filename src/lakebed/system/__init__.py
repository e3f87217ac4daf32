"""What the operating system gives: files that survive a loss of power, names of threads."""
