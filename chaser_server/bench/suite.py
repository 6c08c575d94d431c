"""All measurements, one after the other: what `python -m chaser_server bench` and `make bench` run."""

from __future__ import annotations

import asyncio
import json
import math
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaser_server.bench import browsing, egress, goals, idle, live, refill, relay, sessions, starts, store
from chaser_server.chromium.find import find_chromium
from chaser_server.config import Config
from chaser_server.errors import ConfigError

Measure = Callable[[str, bool], Any]
"""Takes a Chromium and whether to be quick; returns rows."""

# More rounds of one at a time: each has one value only, and a 95th percentile is to be taken of them.
FULL = sessions.Scale(rounds={1: 20, 4: 6, 8: 6}, sustained=24)
QUICK = sessions.Scale(rounds={1: 3, 4: 3}, sustained=12)

PARTS: Mapping[str, tuple[Any, Measure]] = {
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
"""What can be measured, in order, each with the room that knows its table."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that came to no end, and why."""

    part: str
    error: str


def run(config: Config, *, only: Collection[str] = (), json_file: Path | None = None, quick: bool = False) -> int:
    """Measure and print a table each, and in the end what the project promises beside what was found.

    `only` names parts, none means all; `json_file` gets one JSON line per row; `quick` measures less. A part that
    fails is shown, and the others go on. Returns an exit status: 1 when a part failed, else 0 whatever was found, for
    a figure is no failure. Raises `ConfigError` for a part that is none.
    """
    if strangers := [name for name in only if name not in PARTS]:
        raise ConfigError(f"bench: there is no part {strangers[0]!r}; there are: {', '.join(PARTS)}")
    chromium = str(find_chromium(config.browser.executable).path)
    rows: list[Any] = []
    failed: list[str] = []
    for name, (room, measure) in PARTS.items():
        if only and name not in only:
            continue
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


def _write(json_file: Path | None, rows: list[Any]) -> None:
    if json_file is not None:
        json_file.write_text("".join(f"{line_of(row)}\n" for row in rows), encoding="utf-8")


def line_of(row: Any) -> str:
    """A row as one line of JSON; `bench` is its kind, and a computed `ratio` is there too. No figure is null."""
    ratio = {"ratio": row.ratio} if hasattr(row, "ratio") else {}
    values = {"bench": type(row).__name__, **asdict(row), **ratio}
    known = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    return json.dumps(known, allow_nan=False)  # JSON has no word for what is not a number (RFC 8259 6)
