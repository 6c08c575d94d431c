"""A control group of its own with little right to the processor, where this machine lets us make one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HUNDREDTH = {1: ("cpu.shares", "10"), 2: ("cpu.weight", "1")}
"""By the version of control groups: the file, and what stands for a hundredth of the usual in it; cgroups(7)."""

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.05


class NoGroup(Exception):
    """No such group can be made here; says why."""


@dataclass(frozen=True, slots=True)
class Group:
    """One that was made, and what it was told."""

    folder: Path
    told: str

    def take(self, pid: int) -> None:
        """Move a process in. What it starts from now on is in it, too."""
        (self.folder / "cgroup.procs").write_text(str(pid), encoding="ascii")


@contextmanager
def light_group(name: str) -> Iterator[Group]:
    """A group below this process's own, with a hundredth of the usual right to the processor.

    Raises `NoGroup`. Its processes must have ended by the end of this block.
    """
    version, parent = _own_group()
    file, value = HUNDREDTH[version]
    folder = parent / name
    try:
        if version == 2 and "cpu" not in (parent / "cgroup.subtree_control").read_text(encoding="ascii").split():
            (parent / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
        folder.mkdir()
        (folder / file).write_text(value, encoding="ascii")
    except OSError as error:
        raise NoGroup(f"cgroup v{version}: {error.strerror} ({error.filename})") from error
    try:
        yield Group(folder, f"cgroup v{version}, {file} {value}")
    finally:
        _remove(folder)


def against_autogroups() -> str:
    """Why the nice value of an autogroup has no effect here; empty when it has. See sched(7)."""
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    if not switch.exists():
        return "this kernel has no autogroups"
    if switch.read_text(encoding="ascii").strip() == "0":
        return "autogroups are turned off"
    try:
        version, folder = _own_group()
    except NoGroup:
        return ""
    # Only the outermost group has autogroups. These files tell it apart, also where a namespace shows another as it.
    inside = (folder / "cpu.weight").exists() if version == 2 else not (folder / "release_agent").exists()
    return f"without effect inside a control group (v{version})" if inside else ""


def _own_group() -> tuple[int, Path]:
    """The version and the directory of the control group that has the say over this process's processor time."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    first = next((controllers for controllers in own if "cpu" in controllers.split(",")), "")
    if first not in own:
        raise NoGroup("this process is in no control group")
    version, path = 1 if first else 2, own[first]
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, right = line.split(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split()
        if kind == ("cgroup" if version == 1 else "cgroup2") and (version == 2 or "cpu" in options.split(",")):
            return version, Path(mount) / os.path.relpath(path, root)
    raise NoGroup(f"cgroup v{version} has the processor, but is not mounted")


def _remove(folder: Path) -> None:
    """The kernel keeps a group for a moment behind the end of its last process."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            folder.rmdir()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)
