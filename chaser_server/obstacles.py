"""Name what stops bubblewrap on this machine, and how to mend it. Knows the usual obstacles; starts nothing."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a machine on which a trial of bubblewrap went wrong. `None` means the kernel has no such knob.

    `said` is what the trial wrote to stderr. The three knobs are kernel.apparmor_restrict_unprivileged_userns,
    kernel.unprivileged_userns_clone (Debian's and Arch's kernels) and user.max_user_namespaces. `seccomp` says that
    a system call filter is on this very process, `container` which kind of container it runs in, if any.
    """

    said: str
    system: str = "Linux"
    apparmor_restricts: int | None = None
    userns_clone: int | None = None
    max_user_namespaces: int | None = None
    seccomp: bool = False
    container: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One known reason, in a few words, and the commands or settings that remove it."""

    name: str
    mend: str


NO_BUBBLEWRAP_ON_MACOS = Obstacle(
    "macOS has no bubblewrap",
    "start with --isolation none --display headless, or run the server in a Linux virtual machine",
)
TOO_OLD = Obstacle(
    "this bubblewrap is too old",
    "install bubblewrap 0.8 or newer (Debian 12, Ubuntu 24.04 and later have it)",
)
UBUNTU_APPARMOR = Obstacle(
    "AppArmor keeps user namespaces from bubblewrap (Ubuntu 23.10 and later)",
    "allow them for bubblewrap alone:\n"
    "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\n"
    "profile bwrap /usr/bin/bwrap flags=(unconfined) {\\n  userns,\\n}\\n' | sudo tee /etc/apparmor.d/bwrap"
    " && sudo apparmor_parser -r /etc/apparmor.d/bwrap\n"
    "or for every program: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
)
DEBIAN_SWITCH = Obstacle(
    "the kernel's switch for unprivileged user namespaces is off",
    "sudo sysctl -w kernel.unprivileged_userns_clone=1  (put it in /etc/sysctl.d/ to keep it)",
)
NONE_LEFT = Obstacle(
    "the kernel allows no user namespaces (user.max_user_namespaces is 0)",
    "sudo sysctl -w user.max_user_namespaces=15000  (put it in /etc/sysctl.d/ to keep it)",
)
EXHAUSTED = Obstacle(
    "user namespaces are used up, or nested too deep",
    "raise user.max_user_namespaces, or run the server outside the sandbox it is in",
)
MASKED_PROC = Obstacle(
    "the container hides parts of /proc, so no new /proc can be mounted",
    "docker run --security-opt systempaths=unconfined --security-opt seccomp=unconfined"
    " --security-opt apparmor=unconfined …\n"
    "podman run --security-opt unmask=ALL --security-opt seccomp=unconfined …\n"
    "kubernetes: securityContext.procMount: Unmasked",
)
CONTAINER_SECCOMP = Obstacle(
    "a seccomp or AppArmor profile, of a container or a service, forbids what a sandbox is made of",
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined …\n"
    "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …\n"
    "kubernetes: securityContext.seccompProfile.type: Unconfined\n"
    "docs/deploy.md has a narrower profile than unconfined, and what a systemd unit must allow",
)
NO_KERNEL_SUPPORT = Obstacle(
    "this kernel was built without user namespaces",
    "use a kernel with CONFIG_USER_NS=y",
)
CHROOT = Obstacle(
    "the kernel refuses new user namespaces here",
    "this is usual in a chroot and under a service manager's RestrictNamespaces=; start the server outside of it",
)


def diagnose(facts: Facts) -> Obstacle:
    """Name the obstacle behind a failed trial: what the kernel's knobs say outright first, then what bubblewrap said.

    An unknown one is named by bubblewrap's own words.
    """
    for obstacle, met in _table(facts):
        if met:
            return obstacle
    words = facts.said.strip().splitlines()
    return Obstacle(words[-1] if words else "the trial ended without a word", "run `bwrap` by hand to see more")


def _table(facts: Facts) -> list[tuple[Obstacle, bool]]:
    said = facts.said
    refused = "permission" in said.lower() or "not permitted" in said  # EPERM and EACCES, in bubblewrap's words
    return [
        (NO_BUBBLEWRAP_ON_MACOS, facts.system == "Darwin"),
        (TOO_OLD, "Unknown option" in said),
        (DEBIAN_SWITCH, facts.userns_clone == 0),
        (NONE_LEFT, facts.max_user_namespaces == 0),
        (EXHAUSTED, "ENOSPC" in said or "No space left" in said),
        (NO_KERNEL_SUPPORT, "does not support user namespaces" in said or "Invalid argument" in said),
        (MASKED_PROC, "mount proc" in said),
        (UBUNTU_APPARMOR, facts.apparmor_restricts == 1 and refused and not facts.seccomp),
        (CONTAINER_SECCOMP, refused and (facts.seccomp or bool(facts.container))),
        (UBUNTU_APPARMOR, facts.apparmor_restricts == 1 and refused),
        (CHROOT, "create new namespace" in said or "creating new namespace" in said or "unshare failed" in said),
    ]


def gather(said: str) -> Facts:
    """Read the facts of this machine, to go with what a trial of bubblewrap said."""
    return Facts(
        said=said,
        system=platform.system(),
        apparmor_restricts=_knob("kernel/apparmor_restrict_unprivileged_userns"),
        userns_clone=_knob("kernel/unprivileged_userns_clone"),
        max_user_namespaces=_knob("user/max_user_namespaces"),
        seccomp=_under_seccomp(),
        container=container_kind(),
    )


def container_kind() -> str:
    """Return which kind of container this process runs in, by the marks their makers leave; empty for none."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if Path("/.dockerenv").exists():
        return "docker"
    return "podman" if Path("/run/.containerenv").exists() else ""


def _knob(name: str) -> int | None:
    try:
        return int((Path("/proc/sys") / name).read_text())
    except (OSError, ValueError):
        return None


def _under_seccomp() -> bool:
    try:  # proc(5): 2 is SECCOMP_MODE_FILTER
        return re.search(r"^Seccomp:\s+2$", Path("/proc/self/status").read_text(), re.MULTILINE) is not None
    except OSError:
        return False
