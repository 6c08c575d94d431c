"""The bench: what a piece of the server costs, measured beside going without it, in the same run."""
