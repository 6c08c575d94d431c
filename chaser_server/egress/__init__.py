"""The only way out of a session: one forward proxy each, which judges, dials and counts. Knows nothing of browsers,
sandboxes or the database: it is given a listening socket and a count, and says what happened through a callback."""
