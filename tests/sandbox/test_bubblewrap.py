"""The bubblewrap command line: what of the host a session may see."""

from __future__ import annotations

from typing import Any

import pytest

from chaser_server.doctor import bubblewrap_trial
from chaser_server.sandbox.bubblewrap import HOME, Descriptors, bwrap_argv, drop_privileges_argv


def argv(**changes: Any) -> list[str]:
    asked: dict[str, Any] = {
        "bwrap": "/usr/bin/bwrap", "descriptors": Descriptors(doorman=3, passwd=4, group=5, hosts=6, info=7),
        "environment": {"B": "2", "A": "1"}, "read_only": [], "scratch_max_bytes": 1000, "command": ["python3", "x"],
    }  # fmt: skip
    return bwrap_argv(**asked | changes)


def has(line: list[str], *words: str) -> bool:
    """Whether `words` stand in `line` one behind the other."""
    return any(tuple(line[start : start + len(words)]) == words for start in range(len(line)))


@pytest.mark.parametrize(
    "words",
    [
        ("--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"),
        ("--die-with-parent",),
        ("--new-session",),
        ("--clearenv",),
        ("--ro-bind", "/usr", "/usr"),
        ("--ro-bind-try", "/etc/fonts", "/etc/fonts"),
        ("--ro-bind-try", "/etc/ssl", "/etc/ssl"),
        ("--file", "4", "/etc/passwd"),
        ("--file", "3", "/run/doorman.py"),
        ("--info-fd", "7"),
        ("--proc", "/proc", "--dev", "/dev"),
        ("--size", "1000", "--tmpfs", "/tmp"),
        ("--size", "1000", "--tmpfs", "/dev/shm"),
        ("--perms", "0700", "--size", "1000", "--tmpfs", HOME),
        ("--remount-ro", "/"),
        ("--setenv", "A", "1", "--setenv", "B", "2"),
        ("--", "python3", "x"),
    ],
)
def test_a_sandbox_is_built_with(words: tuple[str, ...]) -> None:
    assert has(argv(), *words)


@pytest.mark.parametrize("word", ["--share-net", "--bind", "--dev-bind", "--bind-try", "--cap-add", "--as-pid-1"])
def test_a_sandbox_is_never_built_with(word: str) -> None:
    assert word not in argv(read_only=["/opt/chromium"])


def test_the_doctors_trial_asks_the_kernel_for_the_same_things() -> None:
    session = {word for word in argv() if word.startswith("--")}
    trial = {word for word in bubblewrap_trial("bwrap") if word.startswith("--")}
    needs_no_leave = {"--", "--chdir", "--clearenv", "--file", "--info-fd", "--perms", "--setenv"}
    more_of_the_same = {"--ro-bind-try", "--remount-ro"}
    assert session - trial == needs_no_leave | more_of_the_same


@pytest.mark.parametrize("path", ["/", "/etc", "/home", "/root", "/var", "/run", "/tmp", "/proc", "/sys", "/dev"])
def test_no_directory_with_secrets_is_bound(path: str) -> None:
    line = argv()
    sources = [line[index + 1] for index, word in enumerate(line) if word.startswith("--ro-bind")]
    assert path not in sources


def test_a_browser_outside_usr_is_shown_read_only() -> None:
    assert has(argv(read_only=["/opt/chromium"]), "--ro-bind-try", "/opt/chromium", "/opt/chromium")


def test_privileges_are_dropped_for_good() -> None:
    assert drop_privileges_argv(65534, 65534) == [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
    ]  # fmt: skip


def test_every_descriptor_is_inherited() -> None:
    assert Descriptors(doorman=3, passwd=4, group=5, hosts=6, info=7).all() == [3, 4, 5, 6, 7]


def test_what_is_shown_at_another_place_is_read_only() -> None:
    words = " ".join(argv(binds=(("/tmp/unpacked/doorman", "/run/doorman"),)))
    assert "--ro-bind /tmp/unpacked/doorman /run/doorman" in words
