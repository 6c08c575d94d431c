"""Say how an Xvfb is started. Knows no sandbox and starts nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

PROGRAM_PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a session's programs are looked for, see `chromium.flags.environment`."""


def xvfb_argv(
    width: int,
    height: int,
    *,
    framebuffer_dir: str = "/tmp/fb",
    display: int | None = None,
    display_fd: int | None = None,
    binary: str = "Xvfb",
) -> list[str]:
    """The command of a private X server with one 24-bit screen of `width` x `height` pixels.

    The framebuffer is the file `Xvfb_screen0` in `framebuffer_dir`, which must exist. The number of the `display` is
    written to `display_fd`, with a newline, once clients may connect. With None, whoever starts it adds `:N` and
    `-displayfd`. The number must be named, and be free: left to itself such a server takes number 0 and *replaces the
    socket* of whoever has it. The size is fixed: Xvfb cannot grow its screen.
    """
    return [
        binary,
        *([] if display is None else [f":{display}"]),
        "-screen", "0", f"{width}x{height}x24",
        "-fbdir", framebuffer_dir,
        "-nolisten", "tcp",
        "-nolisten", "local",  # no abstract socket: it would be reachable by name from the whole network namespace
        "-noreset",  # the screen outlives its last client
        "-extension", "GLX",  # nothing draws with it here, and it costs start-up time and memory
        *([] if display_fd is None else ["-displayfd", str(display_fd)]),
    ]  # fmt: skip


def takes_socket(binary: str = "Xvfb") -> bool:
    """Whether an X server takes a listening socket from whoever starts it.

    It does where it was built with systemd's sd_listen_fds(3), as Debian's and Fedora's are: the function's name is in
    the file then. Another server would make a socket of its own in place of that.
    """
    path = shutil.which(binary, path=PROGRAM_PATH)
    try:
        return path is not None and b"sd_listen_fds" in Path(path).read_bytes()
    except OSError:
        return False
