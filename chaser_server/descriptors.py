"""How many files and sockets this process may have open."""

from __future__ import annotations

import contextlib
import resource

ENOUGH = 65536


def allow_many() -> None:
    """Raise the soft limit towards `ENOUGH`: a tunnel of a session takes two, so the usual 1024 are soon gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit of its own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
