"""The doorman of a build that brings its own Python, without building one."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chaser_server.sandbox import bundle
from chaser_server.sandbox.process import Walls

WALLS = Walls(isolated=True, bwrap="bwrap", python="/usr/bin/python3", user="nobody", scratch_max_bytes=1 << 20)


def test_without_a_build_the_doorman_runs_on_the_systems_python() -> None:
    assert bundle.doorman_folder() is None
    assert WALLS.doorman_argv("7", "name") == ["/usr/bin/python3", "-I", "-S", "/run/doorman.py", "7", "name"]


def test_a_build_shows_its_doorman_to_the_sandboxes_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "doorman" / "_internal" / "libpython.so"
    library.parent.mkdir(parents=True, mode=0o700)
    library.touch(mode=0o600)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert bundle.doorman_folder() == f"{tmp_path}/doorman"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, library.parent, library)} == {0o755}


def test_a_builds_doorman_is_run_where_it_is_seen() -> None:
    walls = replace(WALLS, doorman_folder="/tmp/unpacked/doorman")
    assert walls.doorman_argv("7") == ["/run/doorman/doorman", "7"]
    assert replace(walls, isolated=False).doorman_argv("7") == ["/tmp/unpacked/doorman/doorman", "7"]
