"""All measurements, one after the other: what `python -m chaser_server bench` and `make bench` run."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaser_server.bench import browsing, cost, egress, goals, idle, live, refill, relay, sessions, starts, store
from chaser_server.bench.trials import floor, pools, switches, weights
from chaser_server.chromium.find import find_chromium
from chaser_server.config import Config
from chaser_server.errors import ConfigError

Measure = Callable[[str, bool], Any]
"""Takes a Chromium and whether to be quick; returns rows."""

Part = tuple[Any, Measure]
"""What can be measured, with the room that knows its table."""

# More rounds of one at a time: each has one value only, and a 95th percentile is to be taken of them.
FULL = sessions.Scale(rounds={1: 12, 4: 6, 8: 6}, sustained=24)
QUICK = sessions.Scale(rounds={1: 3, 4: 3}, sustained=12)

PARTS: Mapping[str, Part] = {
    "starts": (starts, lambda chromium, quick: asyncio.run(starts.measure(3 if quick else 7))),
    "sessions": (sessions, lambda chromium, quick: asyncio.run(sessions.measure(chromium, QUICK if quick else FULL))),
    "refill": (refill, lambda chromium, quick: asyncio.run(refill.measure(2 if quick else 6))),
    "idle": (idle, lambda chromium, quick: asyncio.run(idle.measure(chromium, (1, 5) if quick else (1, 5, 10, 20)))),
    "relay": (relay, lambda chromium, quick: relay.measure(chromium)),
    "egress": (egress, lambda chromium, quick: egress.measure()),
    "browsing": (browsing, lambda chromium, quick: asyncio.run(browsing.measure(chromium, rounds=2 if quick else 5))),
    "live": (live, lambda chromium, quick: asyncio.run(live.measure())),
    "store": (store, lambda chromium, quick: asyncio.run(store.measure())),
}
"""What is measured, in order, when no part is named."""

TRIALS = "trials"
NAMED_ONLY: Mapping[str, Part] = {
    "cost": (cost, lambda chromium, quick: asyncio.run(cost.measure(3 if quick else 10))),
    f"{TRIALS}.switches": (
        switches,
        lambda chromium, quick: asyncio.run(switches.measure(chromium, 2 if quick else 6)),
    ),
    f"{TRIALS}.pools": (pools, lambda chromium, quick: asyncio.run(pools.measure(1 if quick else 3))),
    f"{TRIALS}.weights": (weights, lambda chromium, quick: asyncio.run(weights.measure(2 if quick else 6))),
    f"{TRIALS}.relay": (
        floor,
        lambda chromium, quick: floor.measure(chromium, round_trip_count=4000 if quick else 20_000),
    ),
}
"""What is measured only when it is named: it tells why things are as they are, and no goal is about it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that came to no end, and why."""

    part: str
    error: str


def run(config: Config, *, only: Collection[str] = (), json_file: Path | None = None, quick: bool = False) -> int:
    """Measure and print a table each, and in the end what the project promises beside what was found.

    `only` names parts, see `chosen`; `json_file` gets one JSON line per row; `quick` measures less. A part that
    fails is shown, and the others go on. Returns an exit status: 1 when a part failed, else 0 whatever was found, for
    a figure is no failure. Raises `ConfigError` for a part that is none.
    """
    parts = chosen(only)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as for Ctrl-C, so that no server is left behind
    chromium = str(find_chromium(config.browser.executable).path)
    rows: list[Any] = []
    failed: list[str] = []
    for name, (room, measure) in parts.items():
        try:
            found = measure(chromium, quick)
        except Exception as error:  # whatever it was, the other parts are still to be measured
            traceback.print_exception(error)
            found = [Failed(name, "".join(traceback.format_exception_only(error)).strip())]
            failed.append(name)
            print(f"**{name} failed**: {found[0].error}", end="\n\n", flush=True)
        else:
            print(room.table(found), end="\n\n", flush=True)
        rows += found
        _write(json_file, rows)  # what comes later, or never, takes nothing of this along
    verdicts = goals.judge(rows, failed=failed)
    if verdicts:
        print(goals.table(verdicts), flush=True)
    _write(json_file, [*rows, *verdicts])
    return int(bool(failed))


def chosen(only: Collection[str]) -> Mapping[str, Part]:
    """The parts of these names in order, all of `PARTS` if there are none; `trials` names all that begin so.

    Raises `ConfigError` for a part that is none.
    """
    if not only:
        return PARTS
    there_are = {**PARTS, **NAMED_ONLY}
    wanted = {name for name in there_are if name in only or (name.startswith(f"{TRIALS}.") and TRIALS in only)}
    if strangers := [name for name in only if name not in (*there_are, TRIALS)]:
        raise ConfigError(f"bench: there is no part {strangers[0]!r}; there are: {', '.join((*there_are, TRIALS))}")
    return {name: part for name, part in there_are.items() if name in wanted}


def _write(json_file: Path | None, rows: list[Any]) -> None:
    if json_file is not None:
        json_file.write_text("".join(f"{line_of(row)}\n" for row in rows), encoding="utf-8")


def line_of(row: Any) -> str:
    """A row as one line of JSON; `bench` is its kind, and a computed `ratio` is there too. No figure is null."""
    ratio = {"ratio": row.ratio} if hasattr(row, "ratio") else {}
    values = {"bench": type(row).__name__, **asdict(row), **ratio}
    known = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    return json.dumps(known, allow_nan=False)  # JSON has no word for what is not a number (RFC 8259 6)
