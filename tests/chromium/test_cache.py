from __future__ import annotations

from pathlib import Path

from chaser_server.chromium.cache import AnswerCache


def test_an_answer_is_there_for_the_next_start(tmp_path: Path) -> None:
    AnswerCache(tmp_path / "new").put("devices", {"Pixel 7": [1, 2]})
    assert AnswerCache(tmp_path / "new").get("devices") == {"Pixel 7": [1, 2]}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["devices.json"]


def test_what_is_missing_or_damaged_is_no_answer(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    assert cache.get("devices") is None
    (tmp_path / "devices.json").write_bytes(b"\xff{")
    assert cache.get("devices") is None


def test_a_directory_that_cannot_be_made_costs_nothing_but_the_next_question(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = AnswerCache(tmp_path / "file")
    cache.put("devices", {})
    assert cache.get("devices") is None
