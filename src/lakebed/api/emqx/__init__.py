"""EMQX asks who its clients are and what they may (its HTTP authentication and authorization)."""
