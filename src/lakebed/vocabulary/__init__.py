"""What flows through Lakebed and how it is named: messages, topics, times, errors. No I/O."""
