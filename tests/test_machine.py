"""What a machine has to give, read from file systems of every kind that is met."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaser_server.limits import sessions_for
from chaser_server.machine import Machine, measure, memory_kills

GIB = 1 << 30
MEMINFO = "MemTotal:       25165824 kB\nMemFree:        1 kB\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": MEMINFO, "proc/vmstat": "nr_free_pages 1\noom_kill 7\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


V2 = {"proc/self/cgroup": "0::/system.slice/chaser.service\n"}
OWN, SLICE = "sys/fs/cgroup/system.slice/chaser.service", "sys/fs/cgroup/system.slice"
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/docker/x\n0::/init.scope\n"}


@pytest.mark.parametrize(
    ("files", "gib", "cores"),
    [
        ({}, 24, 8),
        (V2, 24, 8),
        (V2 | {f"{OWN}/memory.max": "max\n", f"{OWN}/cpu.max": "max 100000\n"}, 24, 8),
        (V2 | {f"{OWN}/memory.max": f"{2 * GIB}\n", f"{OWN}/cpu.max": "150000 100000\n"}, 2, 1.5),
        (V2 | {f"{OWN}/memory.max": f"{4 * GIB}\n", f"{SLICE}/memory.max": f"{3 * GIB}\n"}, 3, 8),
        (V2 | {f"{SLICE}/cpu.max": "400000 100000\n", f"{OWN}/cpu.max": "600000 100000\n"}, 24, 4),
        (V2 | {f"{OWN}/memory.max": f"{99 * GIB}\n", f"{OWN}/cpu.max": "9900000 100000\n"}, 24, 8),
        (V1 | {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": f"{GIB}\n"}, 1, 8),
        (V1 | {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n"}, 24, 8),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            24,
            0.5,
        ),
        (V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 24, 8),
    ],
)
def test_a_control_group_may_allow_less_than_the_machine_has(
    tmp_path: Path, files: dict[str, str], gib: int, cores: float
) -> None:
    assert measure(tree(tmp_path, files)) == Machine(gib * GIB, cores)


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({}, 7),
        (V2, 7),
        (V2 | {f"{OWN}/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"}, 2),
        (V2 | {f"{OWN}/memory.events": "oom_kill 0\n", f"{SLICE}/memory.events": "oom_kill 5\n"}, 0),
        (V1 | {"sys/fs/cgroup/memory/docker/x/memory.oom_control": "under_oom 0\noom_kill 4\n"}, 4),
        (V1 | {"sys/fs/cgroup/memory/docker/x/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\n"}, 7),
    ],
)
def test_kills_for_memory_are_counted_by_the_innermost_group(tmp_path: Path, files: dict[str, str], kills: int) -> None:
    assert memory_kills(tree(tmp_path, files)) == kills


def test_this_machine_can_be_measured() -> None:
    assert measure().memory_bytes > 0
    assert memory_kills() >= 0


@pytest.mark.parametrize(
    ("gib", "cores", "sessions"),
    [(24, 2, 16), (24, 8, 46), (2, 8, 2), (1, 1, 1), (0.5, 0.5, 1), (64, 0.5, 4), (4, 1, 6), (8, 4, 14)],
)
def test_a_server_is_sized_by_what_runs_out_first(gib: float, cores: float, sessions: int) -> None:
    assert sessions_for(memory_bytes=int(gib * GIB), cores=cores) == sessions
