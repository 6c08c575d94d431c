"""The ways to a browser that are compared: this server with and without its pool, and `bare` Chromium by hand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from chaser_server.substrate.from_config import instance_name
from chaser_server.tokens import new_key

_READY_SECONDS = 30
_FULL_SECONDS = 60
_POLL_SECONDS = 0.1

# What Puppeteer starts Chromium with (its ChromeLauncher.defaultArgs), and what keeps it from the network here.
_PUPPETEER = (
    "--allow-pre-commit-input", "--disable-background-networking", "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows", "--disable-breakpad", "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages", "--disable-crash-reporter", "--disable-default-apps",
    "--disable-dev-shm-usage", "--disable-hang-monitor", "--disable-infobars", "--disable-ipc-flooding-protection",
    "--disable-popup-blocking", "--disable-prompt-on-repost", "--disable-renderer-backgrounding",
    "--disable-search-engine-choice-screen", "--disable-sync", "--enable-automation", "--export-tagged-pdf",
    "--generate-pdf-document-outline", "--force-color-profile=srgb", "--metrics-recording-only", "--no-first-run",
    "--password-store=basic", "--use-mock-keychain", "--enable-features=PdfOopif",
    "--disable-features=Translate,AcceptCHFrame,MediaRouter,OptimizationHints,RenderDocument,IsolateSandboxedIframes",
    "--headless=new", "--hide-scrollbars", "--mute-audio", "--remote-debugging-port=0",
    "--disable-component-update", "--disable-quic",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """A browser that is ready: where to connect, and how to be rid of it."""

    cdp_url: str
    release: Callable[[], Awaitable[None]]


Way = Callable[[], Awaitable[Opened]]
"""Brings up one browser and returns when it is ready; raises whatever went wrong, and leaves nothing then."""


@dataclass(frozen=True, slots=True)
class BenchServer:
    """A server in a process of its own."""

    pid: int
    name: str
    """What stands in the names of all that its sessions run and write; see `app.instance_name`."""

    seconds_to_start: float
    """From the start of its process to its first answer."""

    url: str
    http: aiohttp.ClientSession
    pool: int

    def way(self, profile: str) -> Way:
        """Sessions of this server."""

        async def open_session() -> Opened:
            session = await self.ask("POST", "/v1/sessions", json={"profile": profile})
            path = f"/v1/sessions/{session['id']}"

            async def release() -> None:
                await self.ask("DELETE", path)

            try:
                ready = await self.ask("GET", f"{path}?wait=ready")
                if ready["status"] != "ready":
                    raise RuntimeError(f"a session is {ready['status']} instead of ready")
            except BaseException:
                with contextlib.suppress(aiohttp.ClientError):  # it may have ended by itself, or the server has
                    await release()
                raise
            return Opened(session["cdp_url"], release)

        return open_session

    async def metric(self, name: str) -> float:
        """A number without labels of its `/metrics`."""
        async with self.http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        if found is None:
            raise LookupError(f"/metrics has no {name}")
        return float(found[1])

    async def until_full(self) -> None:
        """Wait until as many browsers stand ready as its pool holds."""
        async with asyncio.timeout(_FULL_SECONDS):
            while await self.metric("chaser_pool_ready") < self.pool:
                await asyncio.sleep(_POLL_SECONDS)

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """One request of its API; the answer's JSON, None when it has none."""
        async with self.http.request(method, self.url + path, **options) as response:
            response.raise_for_status()
            return await response.json() if response.status != 204 else None


@asynccontextmanager
async def server(
    *,
    pool: int,
    fill: Callable[[Path], Awaitable[None]] | None = None,
    settings: str = "",
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[BenchServer]:
    """A server with so many browsers in its pool, and no limit to its sessions.

    `fill` prepares its data directory; `settings` are more tables of its configuration, in TOML.
    """
    key = new_key()
    with tempfile.TemporaryDirectory(prefix="chaser-bench-") as data_dir:
        if fill is not None:
            await fill(Path(data_dir))
        config = Path(data_dir) / "bench.toml"
        config.write_text(f"[pool]\nsize = {pool}\n[limits]\nconcurrent_sessions = 0\n{settings}", encoding="utf-8")
        began = perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chaser_server", "--listen", "127.0.0.1:0"),
            *("--data-dir", data_dir, "--config", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environ, "CHASER_KEY": key},
        )
        try:
            url = await asyncio.wait_for(_ready_url(process), _READY_SECONDS)
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
                async with http.get(f"{url}/healthz") as answer:
                    answer.raise_for_status()
                yield BenchServer(
                    pid=process.pid,
                    name=instance_name(Path(data_dir)),
                    seconds_to_start=perf_counter() - began,
                    url=url,
                    http=http,
                    pool=pool,
                )
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        if found := re.search(rb"ready on (\S+)", line):
            return found[1].decode()
    raise RuntimeError("the server did not start; `python -m chaser_server doctor` says why")


def bare(executable: str, *, ready_seconds: float = _READY_SECONDS) -> Way:
    """Chromium as a script would start it: headless, Puppeteer's default switches, no sandbox, killed in the end.

    It is ready when DevTools answers its first request: it says its address some time before it can serve it.
    """

    async def start() -> Opened:
        home = tempfile.mkdtemp(prefix="chaser-bench-")
        argv = [executable, *_PUPPETEER, "--no-sandbox", f"--user-data-dir={home}", "about:blank"]
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(shutil.rmtree, home, ignore_errors=True)
            process = await asyncio.create_subprocess_exec(
                *argv, stdout=nowhere, stderr=pipe, start_new_session=True, env={**os.environ, "TMPDIR": home}
            )
            url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            listening = asyncio.create_task(_listen(process, url), name="bare-stderr")
            undo.push_async_callback(_end, process, listening)
            address = await asyncio.wait_for(url, ready_seconds)
            version = f"http://{urlsplit(address).netloc}/json/version"
            async with aiohttp.ClientSession() as http, http.get(version) as answer:
                answer.raise_for_status()
            return Opened(address, undo.pop_all().aclose)

    return start


async def _listen(process: asyncio.subprocess.Process, url: asyncio.Future[str]) -> None:
    """Read what a browser says until it ends, so that it never waits for us, and take its address from it."""
    assert process.stderr is not None
    async for line in process.stderr:
        if found := re.search(rb"DevTools listening on (\S+)", line):
            if not url.done():
                url.set_result(found[1].decode())
            break
    while await process.stderr.read(65536):
        pass
    if not url.done():
        url.set_exception(RuntimeError("the browser did not start"))


async def _end(process: asyncio.subprocess.Process, listening: asyncio.Task[None]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await listening
    await process.wait()
