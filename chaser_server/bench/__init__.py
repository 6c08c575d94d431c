"""Measurements of what the server costs, each beside going without it in the same run."""
