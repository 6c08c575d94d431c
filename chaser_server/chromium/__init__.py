"""Chromium: where it is, its command line, the device it plays, and our own conversation with it over CDP."""
