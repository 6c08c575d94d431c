"""The relay room: a client's WebSocket and a browser's DevTools socket, joined byte for byte.

Knows nothing of sessions, keys, sandboxes or CDP messages.
"""
