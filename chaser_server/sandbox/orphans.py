"""What an earlier life of the server left behind: processes and directories that carry its name.

A SIGKILL of the server ends its sandboxes by the kernel's hand; this makes sure, and waits until it is so.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from chaser_server.sandbox.process import SCRATCH_PREFIX

_GONE_SECONDS = 5.0
_POLL_SECONDS = 0.01


def clean_up(name: str) -> int:
    """End every process and remove every directory that sandboxes named `name` left; returns how many processes.

    `name` is what `process.start` was given: it stands in the command line of each sandbox. Blocks for at most five
    seconds, until the processes are gone.
    """
    found = _living(name)
    deadline = time.monotonic() + _GONE_SECONDS
    while (living := _living(name)) and time.monotonic() < deadline:
        for pid in living:
            _kill(pid)
        time.sleep(_POLL_SECONDS)
    for directory in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}{name}-*"):
        shutil.rmtree(directory, ignore_errors=True)
    return len(found)


def _living(name: str) -> list[int]:
    """Processes of this machine with `name` in an argument. Zombies have no command line."""
    wanted = name.encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
