"""The bench looks at processes by what /proc says of them, and takes nothing it cannot read for nothing."""

from __future__ import annotations

import asyncio
import math
import os
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from chaser_server.bench.processes import cpu_seconds, named, pss_megabytes, tree


def test_a_process_tree_begins_with_the_process_and_takes_memory_and_time() -> None:
    own = tree(os.getpid())
    assert own[0] == os.getpid()
    assert pss_megabytes(own[:1]) > 1
    assert cpu_seconds(own[:1]) > 0


async def test_a_process_is_found_by_its_arguments_until_it_is_gone() -> None:
    word = f"bench-test-{os.getpid()}"
    process = await asyncio.create_subprocess_exec("sh", "-c", "echo; read never", word, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    (found,) = named(word)
    assert (found.pid, found.lives) == (process.pid, True)
    process.stdin.close()
    await process.wait()
    assert (named(word), found.lives) == (set(), False)


def test_memory_that_may_not_be_read_is_no_good_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = 2**22 + 1  # above the highest number there can be
    assert pss_megabytes([gone]) == 0

    def refuse(_: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert math.isnan(pss_megabytes([os.getpid(), gone]))
