"""The bubblewrap command line, as a pure function: what of the host a session may see, and nothing else.

Options are those of bwrap(1), version 0.8 or newer (for `--size`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HOME = "/home/user"
DOORMAN_PATH = "/run/doorman.py"

# Read-only pieces of the host. Of /etc only what fonts, certificates, the loader and the clock need: when the server
# runs as root, uid 1000 inside could otherwise read whatever root may.
_USR_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin"))
_ETC = ("alternatives", "fonts", "ssl", "ca-certificates", "pki", "ld.so.cache", "ld.so.conf.d", "localtime")
_VAR = ("/var/cache/fontconfig",)

PASSWD = b"user:x:1000:1000::/home/user:/bin/sh\n"
GROUP = b"user:x:1000:\n"
HOSTS = b"127.0.0.1 localhost\n::1 localhost\n"


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Numbers of inherited file descriptors: sources of files made inside, and where bwrap tells its child's pid."""

    doorman: int
    passwd: int
    group: int
    hosts: int
    info: int

    def all(self) -> list[int]:
        """Every one, to be inherited."""
        return [self.doorman, self.passwd, self.group, self.hosts, self.info]


def drop_privileges_argv(user_id: int, group_id: int) -> list[str]:
    """The prefix that makes a command run as an ordinary user who can never become another (setpriv(1))."""
    return [
        "setpriv",
        f"--reuid={user_id}",
        f"--regid={group_id}",
        "--clear-groups",
        "--no-new-privs",
    ]


def bwrap_argv(
    *,
    bwrap: str,
    descriptors: Descriptors,
    environment: Mapping[str, str],
    read_only: Sequence[str],
    scratch_max_bytes: int,
    command: Sequence[str],
    binds: Sequence[tuple[str, str]] = (),
) -> list[str]:
    """The whole `bwrap` command line that runs `command` in a session's sandbox.

    All that a session may write lives in memory, in the sandbox's own tmpfs of at most `scratch_max_bytes` bytes each
    for its home and for /tmp, so that the kernel takes it away with the sandbox and a session cannot fill the host's
    disk. `read_only` names further host directories (a browser outside /usr), `binds` what is shown at another place.
    """
    size = str(scratch_max_bytes)
    argv = [bwrap, "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    argv += ["--die-with-parent", "--new-session", "--hostname", "chaser", "--clearenv"]
    argv += ["--info-fd", str(descriptors.info)]
    argv += ["--ro-bind", "/usr", "/usr"]
    for source, target in _USR_LINKS:
        argv += ["--symlink", source, target]
    for name in _ETC:
        argv += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in (*_VAR, *read_only):
        argv += ["--ro-bind-try", path, path]
    for source, target in binds:
        argv += ["--ro-bind", source, target]
    argv += ["--file", str(descriptors.passwd), "/etc/passwd", "--file", str(descriptors.group), "/etc/group"]
    argv += ["--file", str(descriptors.hosts), "/etc/hosts", "--file", str(descriptors.doorman), DOORMAN_PATH]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"]
    argv += ["--perms", "1777", "--size", size, "--tmpfs", "/tmp"]
    argv += ["--perms", "0700", "--size", size, "--tmpfs", HOME]
    argv += ["--remount-ro", "/", "--chdir", HOME]
    for name, value in sorted(environment.items()):
        argv += ["--setenv", name, value]
    return [*argv, "--", *command]
