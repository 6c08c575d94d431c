"""The bench tells what computes in a session from the pool, stage by stage."""

from __future__ import annotations

from chaser_server.bench import cost
from chaser_server.bench.cost import ALL, CLIENT, DRIVER, PROFILES, WALL, rows_of


async def test_one_round_tells_of_server_browser_and_client() -> None:
    rows = await cost.measure(1)
    for profile in PROFILES:
        mine = {row.process: row for row in rows if row.profile == profile}
        assert {WALL, ALL, CLIENT, DRIVER, "server", "browser", "renderer", "network service"} <= mine.keys()
        assert all(mine[name].total > 0 for name in (WALL, ALL, CLIENT, DRIVER))
        assert mine[ALL].goto >= mine["renderer"].goto > 0
    assert ("Xvfb" in cost.table(rows)) == ("Xvfb" in {row.process for row in rows})


def test_rows_are_medians_stage_by_stage_and_leave_out_what_did_nothing() -> None:
    def stages(create: float, behind: float) -> list[dict[str, float]]:
        return [{WALL: create, "browser": create}, {WALL: 1, "idler": 0.01}, {WALL: 1}, {WALL: 1}, {"browser": behind}]

    wall, browser = rows_of("default", [stages(1, 10), stages(2, 30), stages(9, 20)])
    assert (wall.process, wall.create, wall.total) == (WALL, 2, 5)
    assert (browser.process, browser.create, browser.total, browser.behind) == ("browser", 2, 2, 20)
