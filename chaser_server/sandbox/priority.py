"""How much of the processor a whole sandbox gets beside others, by the kernel's autogroups.

All processes of one session (setsid(2)) share a nice value of their own. Unlike a process's, an ordinary user may also
lower it again; see sched(7), "The autogroup feature".
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

NORMAL = 0
DYING = 10

log = logging.getLogger(__name__)
AGAIN_SECONDS = 0.1
"""Without privileges the kernel takes a change no more often than this, from all of them together."""


def set_group_nice(pid: int, nice: int) -> bool:
    """Set the nice value of the autogroup that `pid` is in; False when the kernel wants to be asked again later.

    Where there are no autogroups, or the process has gone, nothing changes. Anything else is logged.
    """
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False
        if error.errno != errno.ESRCH:
            log.warning("the priority of process %d stays as it is: %s", pid, error)
    return True


def give_way(pid: int) -> None:
    """Let others go before the autogroup that `pid` is in: it gets a tenth of what they do.

    Without privileges nothing changes: the few changes that the kernel takes are for sessions that somebody waits for.
    """
    if os.geteuid() == 0:
        set_group_nice(pid, DYING)
