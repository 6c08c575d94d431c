"""The only room where a session changes. Acts through `substrate`, writes with `store`, and knows nothing of HTTP."""
