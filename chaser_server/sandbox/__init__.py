"""The walls around one session: bubblewrap, the doorman inside, the process handle. Knows nothing of CDP or HTTP."""
