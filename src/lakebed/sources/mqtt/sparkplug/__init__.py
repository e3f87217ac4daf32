"""Reads Sparkplug B: metrics of edge nodes and their devices become messages of their own."""
