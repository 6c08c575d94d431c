"""A build that brings its own Python (`make dist`): what it holds for running the doorman on a machine that has none.

That is a folder with a program `doorman` and the libraries of its own, unpacked with the rest of the build. Knows
nothing of sessions.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = "doorman"
INSIDE = "/run/doorman"
"""Where a sandbox sees the folder."""


def doorman_folder() -> str | None:
    """The folder in the build that this process runs from, None when it runs on a Python of the machine's.

    It is unpacked for the server's user alone, and becomes readable to everybody here: a server that is root runs its
    sandboxes as somebody else.
    """
    if not getattr(sys, "frozen", False):
        return None
    unpacked: str = sys._MEIPASS  # type: ignore[attr-defined]  # pyinstaller.org, "Run-time Information"
    folder = Path(unpacked, PROGRAM)
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755)
    return str(folder)
