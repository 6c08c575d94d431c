"""What watching costs: the CPU of the server and of the session's display, and how fresh pictures are.

The server runs in a process of its own with one session; viewers are in this process, which is not counted. The display
is the Xvfb inside the session's sandbox, found below the process that the session's `launched` event names; what it
spends without viewers is the drawing itself. `python -m chaser_server.bench.live` prints a table.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from chaser_server.bench.processes import cpu_seconds, tree
from chaser_server.bench.ways import server
from chaser_server.live.protocol import FRAME_HEADER

SECONDS = 5.0
SETTLE_SECONDS = 1.0
CLICKS = 50
SLOW_SECONDS = 0.6
_STILL = "data:text/html,<body style='background:white'>"
_CLICKED = (
    "data:text/html,<body style='background:white' "
    "onmousedown=\"document.body.style.background = (window.n = !window.n) ? 'black' : 'white'\">"
)
_ANIMATED = """data:text/html,<body style="margin:0"><canvas width=1280 height=720></canvas><script>
    const pen = document.querySelector('canvas').getContext('2d');
    const draw = (now) => {
      pen.fillStyle = 'white'; pen.fillRect(0, 0, 1280, 720);
      for (let i = 0; i < 40; i++) {
        pen.fillStyle = `hsl(${i * 9} 80%25 50%25)`;
        pen.fillRect(640 + 500 * Math.sin(now / 900 + i), 360 + 300 * Math.cos(now / 700 + i * 2), 90, 60);
      }
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw)</script>"""


@dataclass(frozen=True, slots=True)
class Watching:
    """Percent of one core, and what viewers got: pictures a second each, and their age in ms when they arrived."""

    what: str
    server_percent: float
    display_percent: float
    fps: float
    age_ms: float


@dataclass(frozen=True, slots=True)
class Clicks:
    """Milliseconds from a click sent to the changed picture received."""

    what: str
    p50: float
    p95: float


class Viewer:
    """Takes pictures, each for `thinking` seconds."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, thinking: float = 0.0) -> None:
        self._socket = socket
        self._thinking = thinking
        self.ages: list[float] = []
        self.frame = asyncio.Event()

    async def run(self) -> None:
        """Take what comes."""
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                *_, seq, unix_ms = FRAME_HEADER.unpack_from(message.data)
                self.ages.append(time.time() * 1000 - unix_ms)
                self.frame.set()
                await asyncio.sleep(self._thinking)
                if not self._socket.closed:
                    await self._socket.send_json({"t": "ack", "seq": seq})

    async def mouse(self, action: str) -> None:
        await self._socket.send_json({"t": "mouse", "a": action, "x": 640, "y": 360, "b": 0})


class Session:
    """One session of a server, and how to look at it."""

    def __init__(self, http: aiohttp.ClientSession, path: str, cdp_url: str, server_pid: int, display_pid: int) -> None:
        self._http = http
        self._path = path
        self._cdp_url = cdp_url
        self._pids = (server_pid, display_pid)

    async def show(self, url: str) -> None:
        """Go to a page, and leave its client."""
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            browser = await playwright.chromium.connect_over_cdp(self._cdp_url)
            await browser.contexts[0].pages[0].goto(url)
            await browser.close()
        await asyncio.sleep(1.5)  # the server notices that the client left

    @asynccontextmanager
    async def viewers(self, number: int, fps: float, thinking: float = 0.0) -> AsyncIterator[list[Viewer]]:
        """That many viewers."""
        async with AsyncExitStack() as leaving, asyncio.TaskGroup() as group:
            found = []
            for _ in range(number):
                async with self._http.post(f"{self._path}/preview-token", json={}) as answer:
                    url = (await answer.json())["url"]
                socket = await leaving.enter_async_context(self._http.ws_connect(url, max_msg_size=0))
                await socket.send_json({"t": "config", "fps": fps})
                found.append(Viewer(socket, thinking))
                group.create_task(found[-1].run())
            yield found
            await leaving.aclose()

    async def cost(self, what: str, viewers: list[Viewer]) -> Watching:
        """Measure for a while what the server and the display spend, and what these viewers get."""
        await asyncio.sleep(SETTLE_SECONDS)
        for viewer in viewers:
            viewer.ages = []
        before, began = [cpu_seconds([pid]) for pid in self._pids], time.monotonic()
        await asyncio.sleep(SECONDS)
        seconds = time.monotonic() - began
        spent = [100 * (cpu_seconds([pid]) - was) / seconds for pid, was in zip(self._pids, before, strict=True)]
        ages = [age for viewer in viewers for age in viewer.ages]
        fps = len(ages) / seconds / len(viewers) if viewers else 0.0
        return Watching(what, spent[0], spent[1], fps, statistics.median(ages) if ages else 0.0)


async def measure() -> list[Watching | Clicks]:
    """Everything once, on one session."""
    rows: list[Watching | Clicks] = []
    async with _session() as session:
        await session.show(_STILL)
        rows.append(await session.cost("still page, no viewer", []))
        async with session.viewers(1, 5) as watching:
            rows.append(await session.cost("still page, 1 viewer", watching))
        await session.show(_CLICKED)
        rows.append(await _clicks(session))
        await session.show(_ANIMATED)
        rows.append(await session.cost("animated page, no viewer", []))
        for number, fps in ((1, 5), (10, 5), (1, 30), (10, 30)):
            async with session.viewers(number, fps) as watching:
                rows.append(await session.cost(f"animated page, {number} viewer(s) at {fps} fps", watching))
        async with session.viewers(1, 30) as fast, session.viewers(1, 30, SLOW_SECONDS) as slow:
            rows.append(await session.cost("animated page, fast viewer beside a slow one", fast))
            ages = slow[0].ages
            rows.append(Watching("… the slow one", 0, 0, len(ages) / (SECONDS + SETTLE_SECONDS), max(ages)))
    return rows


async def _clicks(session: Session) -> Clicks:
    times = []
    async with session.viewers(1, 30) as [viewer]:
        await viewer.mouse("move")
        await asyncio.sleep(1)
        for _ in range(CLICKS):
            viewer.frame.clear()
            began = time.perf_counter()
            await viewer.mouse("down")
            await viewer.frame.wait()
            times.append((time.perf_counter() - began) * 1000)
            await viewer.mouse("up")
            await asyncio.sleep(0.1)
    return Clicks("click → changed picture, 30 fps", statistics.median(times), statistics.quantiles(times, n=20)[18])


@asynccontextmanager
async def _session() -> AsyncIterator[Session]:
    async with server(pool=0) as running:
        created = await running.ask("POST", "/v1/sessions")
        path = f"/v1/sessions/{created['id']}"
        await running.ask("GET", f"{path}?wait=ready")
        events = (await running.ask("GET", f"{path}/events"))["data"]
        sandbox = next(event["detail"]["pid"] for event in events if event["kind"] == "launched")
        yield Session(running.http, running.url + path, created["cdp_url"], running.pid, _display_below(sandbox))


def _display_below(pid: int) -> int:
    """The Xvfb among the descendants of a process."""
    return next(each for each in tree(pid) if Path(f"/proc/{each}/comm").read_text().strip() == "Xvfb")


def table(rows: list[Watching | Clicks]) -> str:
    """The rows for people."""
    lines = ["| live view, 1280x720 | server | display | fps | age of a picture |", "|---|---|---|---|---|"]
    for row in rows:
        match row:
            case Watching():
                spent = f"{row.server_percent:.1f} % | {row.display_percent:.1f} %"
                lines.append(f"| {row.what} | {spent} | {row.fps:.1f} | {row.age_ms:.0f} ms |")
            case Clicks():
                lines.append(f"| {row.what} | | | | p50 {row.p50:.0f} ms, p95 {row.p95:.0f} ms |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(asyncio.run(measure())))
