"""The endpoint that devices connect to."""
