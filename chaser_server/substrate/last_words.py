"""Read what became of a session's programs from what they said last. Pure."""

from __future__ import annotations

import errno
import re

_NO_DISPLAY = (
    f"display from the sandbox: [Errno {errno.ECONNREFUSED}]",  # the doorman
    "Missing X server",  # Chromium found none; the others: it has lost the one it had, for which it has several words
    "X connection error received",
    "xcb_connect() failed",
    "broken (explicit kill or server shutdown)",
)
_OF_CHROMIUM = re.compile(r"\[\d+:\d+:|ERR: |DevTools listening on |X connection to |$")


def display_failure(error: str, said: str) -> str | None:
    """Why a browser did not come up if that was the death of its display server, in Xvfb's own words if it had any.

    `error` is what was noticed, `said` what the programs wrote. None for another cause; also when Chromium went without
    a word, as it may when it loses its display in its first moments.
    """
    if not any(sign in f"{error}\n{said}" for sign in _NO_DISPLAY):
        return None
    own_words = [line for line in said.splitlines() if not _OF_CHROMIUM.match(line)]
    return "the display server (Xvfb) died" + "".join(f": {line}" for line in own_words[-1:])
