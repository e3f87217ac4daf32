"""Calls to addresses that users give: what they may reach, and how they are called."""
