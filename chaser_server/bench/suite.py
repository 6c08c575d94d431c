"""All measurements, one after the other: what `python -m chaser_server bench` and `make bench` run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from chaser_server.bench import browsing, egress, live, relay, sessions, store
from chaser_server.chromium.find import find_chromium
from chaser_server.config import Config


def run(config: Config, *, as_json: bool, quick: bool = False) -> int:
    """Measure and print a table each; with `as_json` also one JSON line per row; `quick` sessions are fewer.

    Returns an exit status.
    """
    executable = str(find_chromium(config.browser.executable).path)
    for module, rows in (
        (sessions, asyncio.run(sessions.measure(executable, sessions.QUICK if quick else sessions.FULL))),
        (relay, relay.measure(executable)),
        (egress, egress.measure()),
        (browsing, asyncio.run(browsing.measure(executable))),
        (live, asyncio.run(live.measure())),
        (store, asyncio.run(store.measure())),
    ):
        _report(module, rows, as_json=as_json)
    return 0


def _report(module: Any, rows: Any, *, as_json: bool) -> None:
    print(module.table(rows), end="\n\n", flush=True)
    for row in rows if as_json else ():
        print(json.dumps({"bench": type(row).__name__, **asdict(row)}), flush=True)
