"""How many sessions may be open, as a pure decision."""

from __future__ import annotations

from chaser_server.config import LimitsConfig
from chaser_server.errors import ConcurrencyLimit
from chaser_server.model import Workspace


def check_places(limits: LimitsConfig, workspace: Workspace, *, mine: int, living: int) -> None:
    """Raise `ConcurrencyLimit` when one more session is too many.

    `mine` counts the open sessions of `workspace`, `living` those of the whole server and the browsers that are still
    being buried: the machine bears these, too, though they hold no workspace's place. A limit of 0 is none.
    """
    if 0 < limits.max_sessions <= living:
        raise ConcurrencyLimit(f"the server has {living} sessions open, as many as it may")
    own = workspace.concurrent_sessions
    limit = limits.concurrent_sessions if own is None else own
    if 0 < limit <= mine:
        raise ConcurrencyLimit(f"the workspace has {mine} sessions open, as many as it may")
