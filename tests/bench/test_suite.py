"""The suite goes on behind a part that fails, and tells of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaser_server.bench import suite
from chaser_server.bench.store import ONE, Query
from chaser_server.config import Config
from chaser_server.errors import ConfigError


def test_a_part_that_fails_is_shown_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("it broke")

    room = SimpleNamespace(table=lambda rows: f"{len(rows)} row")
    parts = {"refill": (room, fail), "store": (room, lambda *_: [Query(ONE, 1, 1, 1, 1)])}
    monkeypatch.setattr(suite, "PARTS", parts)
    assert suite.run(Config(), json_file=tmp_path / "rows") == 1
    kinds = [json.loads(line)["bench"] for line in (tmp_path / "rows").read_text().splitlines()]
    assert kinds == ["Failed", "Query", "Verdict"]
    said = capsys.readouterr().out
    assert "**refill failed**: RuntimeError: it broke" in said
    assert "1 row" in said
    assert suite.run(Config(), only=["store"]) == 0


def test_what_runs_only_when_named_does_not_run_otherwise() -> None:
    assert list(suite.chosen([])) == list(suite.PARTS)
    assert not suite.PARTS.keys() & suite.NAMED_ONLY.keys()
    assert list(suite.chosen(["cost", "store"])) == ["store", "cost"]
    assert list(suite.chosen(["trials"])) == [name for name in suite.NAMED_ONLY if name.startswith("trials.")]
    assert list(suite.chosen(["trials.pools"])) == ["trials.pools"]
    with pytest.raises(ConfigError, match="no part 'trial'"):
        suite.chosen(["trial"])
