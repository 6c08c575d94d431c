"""Trials compare variants in turns, and say so where this machine does not let them."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import aiohttp
import pytest

from chaser_server.bench.trials import floor, groups, pools, switches, weights
from chaser_server.bench.trials.groups import NoGroup, light_group
from chaser_server.bench.trials.pools import Burst, Load
from chaser_server.bench.trials.switches import AS_IT_IS, SCRIPTS, rows_of
from chaser_server.bench.trials.weights import Beside, Starter
from chaser_server.bench.ways import BenchServer
from chaser_server.chromium.find import find_chromium


def run_script(folder: Path, name: str, *arguments: str) -> list[str]:
    """What the script would start Chromium with."""
    (script,) = (text for variant, text in SCRIPTS.items() if name in variant)
    path = switches.write_script(folder / "browser", script, "printf '%s\\n'")
    return subprocess.run(["sh", str(path), *arguments], check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_script_replaces_a_switch_and_leaves_the_others(tmp_path: Path) -> None:
    given = ["--user-data-dir=/home/a b", "--start-fullscreen", "about:blank"]
    assert run_script(tmp_path, "kiosk", *given) == [given[0], "--kiosk", given[2]]


def test_a_script_seeds_the_user_data_directory(tmp_path: Path) -> None:
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "Local State").write_text("{}")
    home = tmp_path / "home" / "profile"
    assert run_script(tmp_path, "seeded", f"--user-data-dir={home}", "x")[1:] == ["x"]
    assert (home / "Local State").read_text() == "{}"
    assert run_script(tmp_path, "seeded", "--version") == ["--version"]


def test_command_lines_are_compared_by_all_processor_time() -> None:
    names = [name for name in switches.Start.__slots__ if name not in ("variant", "ratio")]
    seen = {AS_IT_IS: [dict.fromkeys(names, value) for value in (1.0, 2.0, 9.0)], "other": [dict.fromkeys(names, 3.0)]}
    rows = rows_of(seen)
    assert [(row.variant, row.cpu, row.ratio) for row in rows] == [(AS_IT_IS, 2, 1), ("other", 3, 1.5)]
    assert "| other | 3 / 3 |" in switches.table(rows)


async def test_bursts_are_measured_by_setting() -> None:
    rows = await pools.measure(1, at_once=2, pool_sizes=(1,), launches_at_once=())
    (load,) = (row for row in rows if isinstance(row, Load))
    assert (load.setting, load.value, load.ratio) == ("pool.size", 1, 1)
    assert load.cpu_milliseconds_each > 0
    assert {row.failures for row in rows if isinstance(row, Burst)} == {0}
    assert "| 1 (as it is) |" in pools.table(rows)


def test_a_control_group_takes_processes_and_is_removed() -> None:
    name = f"chaser-bench-test-{os.getpid()}"
    try:
        with light_group(name) as group, subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
            group.take(cat.pid)
            assert name in Path(f"/proc/{cat.pid}/cgroup").read_text()
            assert cat.stdin is not None
            cat.stdin.close()
            cat.wait()
    except NoGroup as why:
        pytest.skip(str(why))
    assert not group.folder.exists()


def test_autogroups_are_said_to_have_no_effect_inside_a_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    if not switch.exists() or switch.read_text().strip() != "1":
        pytest.skip("there are none here")
    monkeypatch.setattr(groups, "_own_group", lambda: (2, tmp_path))
    outermost = groups.against_autogroups()
    (tmp_path / "cpu.weight").touch()
    assert (outermost, groups.against_autogroups()) == ("", "without effect inside a control group (v2)")


class TwoPages(Starter):
    """A start that is over when two pages have been gone to beside it."""

    pages_left = 0

    async def _begin(self) -> None:
        self.pages_left = 3

    async def _under_way(self) -> bool:
        self.pages_left -= 1
        return self.pages_left > 0

    async def _end(self) -> None:
        assert self.pages_left == 0


async def test_pages_are_gone_to_alone_and_as_long_as_a_browser_is_started() -> None:
    async with aiohttp.ClientSession() as http:
        starter = TwoPages("nothing", BenchServer(os.getpid(), "", 0, "", http, pool=0))
        pages = iter([10.0] * weights.PAGES_ALONE + [14.0, 16.0])

        async def page() -> float:
            return next(pages)

        await starter.turn(page)
    row = starter.row()
    assert (row.alone, row.beside, row.ratio, row.pages) == (10, 15, 1.5, 2)
    missing = Beside("control group", *[math.nan] * 5, pages=0, note="none here")
    assert weights.table([row, missing]).endswith("| control group | – | – | – | 0 | – | – | none here |")


def test_the_least_relay_answers_beside_ours() -> None:
    rows = floor.measure(str(find_chromium().path), round_trip_count=200)
    assert [(row.way, row.connections) for row in rows] == [
        (way, count) for count in floor.CONNECTIONS for way in (floor.DIRECT, *floor.WAYS)
    ]
    assert all(row.p50 > 0 for row in rows)
    assert f"| {floor.FLOOR} | 20 |" in floor.table(rows)
