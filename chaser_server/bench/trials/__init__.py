"""Trials: what could be otherwise, each variant beside the server as it is, in turns in one run."""
