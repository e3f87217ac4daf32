"""The series store: what policies keep of numbers, text and JSON."""
