"""What the doctor says: a check is one thing that was looked at; together they make a table, or a refusal to start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

WITHOUT = {
    "isolation": 'isolation = "none" in the config, or --isolation none: '
    "no sandbox, so sessions share the files and the loopback network of the server's user",
    "display": 'display = "headless" in the config, or --display headless: '
    "no X display, so select lists, alerts and menus are missing from pictures",
}


class Health(StrEnum):
    """What a check came to: only `fail` keeps the server from starting."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and the mend if it is not well.

    `without` names the setting that lets the server start without this thing: "isolation", "display" or "".
    """

    name: str
    status: Health
    found: str
    mend: str = ""
    without: str = ""


def render(checks: Iterable[Check]) -> str:
    """Return the checks as an aligned table, with the mends of those that are not well below it."""
    checks = list(checks)
    width = max((len(check.name) for check in checks), default=0)
    label = {Health.OK: "ok", Health.WARN: "warn", Health.FAIL: "FAIL"}
    lines = [f"{label[check.status]:<5} {check.name:<{width}}  {check.found}".rstrip() for check in checks]
    mends = [f"  {check.name}: " + check.mend.replace("\n", "\n    ") for check in checks if check.mend]
    return "\n".join([*lines, *(["", "How to mend it:", *mends] if mends else [])])


def exit_status(checks: Iterable[Check]) -> int:
    """Return what `doctor` exits with: 1 when the server could not start, else 0."""
    return int(any(check.status is Health.FAIL for check in checks))


def refusal(checks: Iterable[Check]) -> str | None:
    """Return the text with which the server refuses to start on this machine, None when it may start."""
    failed = [check for check in checks if check.status is Health.FAIL]
    if not failed:
        return None
    ways = [WITHOUT[setting] for setting in sorted({check.without for check in failed if check.without})]
    going_without = ["", "Or go without, knowing what is lost:", *(f"  {way}" for way in ways)] if ways else []
    return "\n".join(["This machine is not ready for chaser-server:", "", render(failed), *going_without])
