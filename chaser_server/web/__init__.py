"""HTTP and WebSocket: parses requests, asks the rooms below, renders answers. Here alone are status codes known."""
