"""The bench tells where starts spend their time."""

from __future__ import annotations

from chaser_server.bench import starts
from chaser_server.bench.starts import Imports, Phase, ServerStart


async def test_one_start_is_told_by_its_parts() -> None:
    rows = await starts.measure(1)
    assert all(row.seconds > row.cpu_seconds / 2 > 0 for row in rows if isinstance(row, ServerStart))
    assert [row.start for row in rows if isinstance(row, ServerStart)] == [starts.FIRST_START, starts.START]
    assert "chaser_server" in {row.package for row in rows if isinstance(row, Imports)}
    phases = {(row.profile, row.phase) for row in rows if isinstance(row, Phase)}
    shared = {(profile, phase) for profile in starts.PROFILES for phase in ("sandbox", "doorman", "devtools", "pages")}
    assert phases == {*shared, ("default", "screen")}
    assert "cold start" in starts.table(rows)


def test_only_what_python_says_of_imports_is_taken_for_one() -> None:
    said = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   zipimport
a | library | warns
import time:      2000 |       2300 |     aiohttp.web
import time:       500 |        500 | aiohttp
"""
    assert starts.imports_of(said) == [Imports("aiohttp", 2, 2.5), Imports("standard library", 1, 0.1)]
