"""What stops bubblewrap, told apart by facts instead of by machines."""

from __future__ import annotations

import pytest

from chaser_server import obstacles
from chaser_server.obstacles import Facts, Obstacle, diagnose, gather

UID_MAP = "bwrap: setting up uid map: Permission denied"
LOOPBACK = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted"
REFUSED = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged user "
    "namespaces."
)
ENOSPC = "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)"
PROC = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
NESTED = "unshare: unshare failed: Operation not permitted"
HOSTNAME = "bwrap: Can't set hostname to chaser: Operation not permitted"
CHANGED_ROOT = "unshare: cannot change root directory to '/': Operation not permitted"

TABLE = [
    (Facts(UID_MAP, apparmor_restricts=1), obstacles.UBUNTU_APPARMOR),
    (Facts(LOOPBACK, apparmor_restricts=1), obstacles.UBUNTU_APPARMOR),
    (Facts(NESTED, apparmor_restricts=1), obstacles.UBUNTU_APPARMOR),
    (Facts(REFUSED, apparmor_restricts=1, seccomp=True, container="docker"), obstacles.CONTAINER_SECCOMP),
    (Facts(REFUSED, userns_clone=0, apparmor_restricts=1), obstacles.DEBIAN_SWITCH),
    (Facts(ENOSPC, max_user_namespaces=0), obstacles.NONE_LEFT),
    (Facts(ENOSPC, max_user_namespaces=96365), obstacles.EXHAUSTED),
    (Facts(REFUSED, userns_clone=1, seccomp=True), obstacles.CONTAINER_SECCOMP),
    (Facts("bwrap: Failed to make / slave: Permission denied", container="docker"), obstacles.CONTAINER_SECCOMP),
    (Facts(HOSTNAME, seccomp=True, container="podman"), obstacles.CONTAINER_SECCOMP),
    (Facts(CHANGED_ROOT, seccomp=True, container="podman"), obstacles.CONTAINER_SECCOMP),
    (Facts(PROC, container="docker"), obstacles.MASKED_PROC),
    (Facts(PROC, seccomp=True, container="podman", apparmor_restricts=1), obstacles.MASKED_PROC),
    (Facts("bwrap: Unknown option --size"), obstacles.TOO_OLD),
    (Facts("bwrap: Creating new namespace failed: Invalid argument"), obstacles.NO_KERNEL_SUPPORT),
    (Facts(REFUSED, userns_clone=1, max_user_namespaces=9), obstacles.CHROOT),
    (Facts("", system="Darwin"), obstacles.NO_BUBBLEWRAP_ON_MACOS),
]


@pytest.mark.parametrize(("facts", "expected"), TABLE, ids=lambda each: getattr(each, "name", ""))
def test_a_known_obstacle_is_named_with_its_mend(facts: Facts, expected: Obstacle) -> None:
    assert diagnose(facts) is expected
    assert expected.mend


def test_an_unknown_obstacle_is_named_by_bubblewraps_own_words() -> None:
    assert diagnose(Facts("note\nbwrap: the moon is full\n")).name == "bwrap: the moon is full"


def test_a_trial_that_ends_without_a_word_still_gets_a_name() -> None:
    assert diagnose(Facts("")).name == "the trial ended without a word"


def test_the_facts_of_this_machine_can_be_gathered() -> None:
    facts = gather("said")
    assert (facts.said, facts.system in ("Linux", "Darwin")) == ("said", True)
