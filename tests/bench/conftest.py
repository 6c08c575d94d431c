"""What the tests of the bench share: its figures are of no interest here, so it need not wait for a quiet machine."""

from __future__ import annotations

import pytest

from chaser_server.bench import processes


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_QUIET_SECONDS", 0.01)
    monkeypatch.setattr(processes, "_MACHINE_LOOKS", 1)
