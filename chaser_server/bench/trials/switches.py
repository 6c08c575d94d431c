"""Whether Chromium would cost less if it were started otherwise: cold sessions by several command lines, in turns.

Each variant has a server of its own. What its configuration cannot say is said by a script in the place of the browser,
which changes the command line and becomes Chromium. Processor time is of the server and all that it runs, without what
copying a seed takes: that is in the wall time only.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from chaser_server.bench.meter import Meter
from chaser_server.bench.processes import pss_megabytes, tree, until_machine_quiet, until_quiet
from chaser_server.bench.sessions import site
from chaser_server.bench.ways import BenchServer, server

if TYPE_CHECKING:
    from playwright.async_api import Page, Playwright

ROUNDS = 6
AS_IT_IS = "as it is"
SWITCHES: Mapping[str, str] = {
    AS_IT_IS: "",
    "as it is, again": "",  # says how far two of the same are apart
    "no spare renderer": "--disable-features=SpareRendererForSitePerProcess",
    "--disable-extensions": "--disable-extensions",
    "--in-process-gpu": "--in-process-gpu",
}
"""What the configuration can say, in `browser.extra_args`."""

SCRIPTS: Mapping[str, str] = {
    "seeded user-data directory": """case "$1" in --user-data-dir=*)
  mkdir -p "${{1#*=}}"; cp -r --no-preserve=mode,ownership "$here/seed/." "${{1#*=}}" ;;
esac
exec {chromium} "$@"
""",
    "--kiosk for --start-fullscreen": """for argument; do
  shift; [ "$argument" = --start-fullscreen ] && argument=--kiosk; set -- "$@" "$argument"
done
exec {chromium} "$@"
""",
}
"""What it cannot."""

WARM_UPS = ("warmed in a tab", "warmed in its page")
"""Before it is used, such a session opens a page in a tab and closes that, as the pool has its browsers do, or goes to
one of another site and back to about:blank."""

_WARM_PAGE = "data:text/html,<!doctype html><title>warming up</title><p>warming up"

_SCRIPT_HEAD = '#!/bin/sh\nhere=$(dirname "$0")\n'
_SHOWN_FOLDER = "/var/tmp"  # not /tmp, which is the session's own
_BEHIND_SECONDS = 0.5
_SEED_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Start:
    """Medians by one command line: milliseconds of the clock and of processor time, and megabytes of PSS.

    `settled_cpu` is from the start until the browser rests with a client connected. `second` is a page of the same site
    as the `first`, `other` one of another, which wants another renderer; their processor time includes the half second
    behind them. `cpu` is all of it together, `ratio` is of that to the server as it is.
    """

    variant: str
    start: float
    start_cpu: float
    settled_cpu: float
    first: float
    first_cpu: float
    second: float
    second_cpu: float
    other: float
    other_cpu: float
    megabytes: float
    cpu: float
    ratio: float


Figures = Mapping[str, float]
"""One session's, by the fields of `Start`."""


async def measure(chromium: str, rounds: int = ROUNDS, *, variants: Collection[str] = ()) -> list[Start]:
    """A cold session by each of the variants (all, if none is named), `rounds` times, after one that warms up."""
    from playwright.async_api import async_playwright  # only here: its driver has no part in the server

    settings = {variant: _extra_args(switch) for variant, switch in {**SWITCHES, **dict.fromkeys(WARM_UPS, "")}.items()}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(site())
        playwright = await stack.enter_async_context(async_playwright())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaser-bench-", dir=_SHOWN_FOLDER)))
        _make_seed(chromium, folder / "seed")
        for number, (variant, script) in enumerate(SCRIPTS.items()):
            settings[variant] = _executable(write_script(folder / f"browser-{number}", script, chromium))
        _show_to_others(folder)
        servers = {
            variant: await stack.enter_async_context(server(pool=0, settings=setting))
            for variant, setting in settings.items()
            if not variants or variant in variants
        }
        seen: dict[str, list[Figures]] = {variant: [] for variant in servers}
        for _ in range(rounds + 1):
            for variant, here in servers.items():
                await until_machine_quiet()
                seen[variant].append(await _session(variant, here, playwright, url))
    return rows_of({variant: found[1:] for variant, found in seen.items()})


def _extra_args(switch: str) -> str:
    return f"[browser]\nextra_args = {json.dumps([switch] if switch else [])}\n"


def _executable(path: Path) -> str:
    return f"[browser]\nexecutable = {json.dumps(str(path))}\n"


def write_script(path: Path, script: str, chromium: str) -> Path:
    """A script that becomes Chromium."""
    path.write_text(_SCRIPT_HEAD + script.format(chromium=chromium), encoding="utf-8")
    return path


def _make_seed(chromium: str, folder: Path) -> None:
    """A user-data directory as a first start leaves it behind."""
    argv = [chromium, "--headless=new", "--no-first-run", "--disable-gpu", "--disable-background-networking"]
    argv += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox for root
    argv += [f"--user-data-dir={folder}", "--dump-dom", "about:blank"]
    subprocess.run(argv, check=True, capture_output=True, timeout=_SEED_SECONDS)
    for lock in folder.glob("Singleton*"):
        lock.unlink()


def _show_to_others(folder: Path) -> None:
    """Sandboxes of a server that is root run as somebody else."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


async def _session(variant: str, here: BenchServer, playwright: Playwright, url: str) -> Figures:
    elsewhere = url.replace("localhost", "127.0.0.1")
    meter, began = Meter(here.pid), perf_counter()
    async with meter.looking():
        opened = await here.way("default")()
    figures = {"start": (perf_counter() - began) * 1000, "start_cpu": meter.milliseconds}
    await until_quiet(here.pid)
    browser = await playwright.chromium.connect_over_cdp(opened.cdp_url)
    page = browser.contexts[0].pages[0]
    if variant in WARM_UPS:
        await _warm_up(page, elsewhere if variant == WARM_UPS[1] else "")
    await until_quiet(here.pid)
    meter.search()
    figures["settled_cpu"] = meter.milliseconds
    pages = {"first": url, "second": f"{url}?2", "other": elsewhere}
    for name, address in pages.items():
        meter.search()
        used, began = meter.milliseconds, perf_counter()
        await page.goto(address)
        figures[name] = (perf_counter() - began) * 1000
        await asyncio.sleep(_BEHIND_SECONDS)
        meter.search()
        figures[f"{name}_cpu"] = meter.milliseconds - used
    figures["megabytes"] = pss_megabytes(tree(here.pid)[1:])
    figures["cpu"] = figures["settled_cpu"] + sum(figures[f"{name}_cpu"] for name in pages)
    await opened.release()
    return figures


async def _warm_up(page: Page, elsewhere: str) -> None:
    """In the page itself when there is somewhere to go, else in a tab."""
    if elsewhere:
        await page.goto(elsewhere)
        await page.goto("about:blank")
    else:
        tab = await page.context.new_page()
        await tab.goto(_WARM_PAGE)
        await tab.close()


def rows_of(seen: Mapping[str, Sequence[Figures]]) -> list[Start]:
    """The medians of each variant."""
    middle = {
        variant: {name: statistics.median(each[name] for each in found) for name in found[0]}
        for variant, found in seen.items()
    }
    usual = middle[AS_IT_IS]["cpu"]
    return [Start(variant, **figures, ratio=figures["cpu"] / usual) for variant, figures in middle.items()]


def table(rows: Sequence[Start]) -> str:
    """The rows for people."""
    lines = [
        "| a cold session, ms / CPU ms | start | until it rests | first page | second | other site | MB | CPU | |",
        "|" + "---|" * 9,
    ]
    lines += [
        f"| {row.variant} | {row.start:.0f} / {row.start_cpu:.0f} | {row.settled_cpu:.0f} "
        f"| {row.first:.0f} / {row.first_cpu:.0f} | {row.second:.0f} / {row.second_cpu:.0f} "
        f"| {row.other:.0f} / {row.other_cpu:.0f} | {row.megabytes:.0f} | {row.cpu:.0f} | {row.ratio:.2f}x |"
        for row in rows
    ]
    return "\n".join(lines)
