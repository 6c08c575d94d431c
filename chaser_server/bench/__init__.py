"""Measurements of what the server costs, each against a direct connection in the same run."""
