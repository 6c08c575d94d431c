"""The real clients, each through a session's whole life: connected at once, driven, left, found again, deleted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import patchright.async_api
import patchright.sync_api
import playwright.async_api
import playwright.sync_api
import pytest

from tests.api import Api
from tests.site import Site

HERE = Path(__file__).parent
PNG = b"\x89PNG\r\n\x1a\n"


async def check_screen_and_delete(api: Api, session_id: str) -> None:
    """What every client's session has in common once it is left."""
    picture = await api.ask("POST", f"/v1/sessions/{session_id}/screenshot")
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/png")
    assert picture.body.startswith(PNG)
    session = await api.get(session_id)
    assert session["status"] == "ready"
    assert session["bytes_up"] > 0
    assert session["bytes_down"] > 0
    await api.delete(session_id)
    ended = await api.get(session_id)
    assert (ended["status"], ended["ended_reason"]) == ("closed", "client_delete")


@pytest.mark.parametrize("library", [playwright.async_api, patchright.async_api], ids=["playwright", "patchright"])
async def test_an_async_python_client_drives_a_session_and_finds_it_again(
    api: Api, site: Site, library: ModuleType
) -> None:
    session = await api.create()
    assert session["status"] == "creating"
    async with library.async_playwright() as client:
        browser = await client.chromium.connect_over_cdp(session["cdp_url"])
        page = browser.contexts[0].pages[0]
        await page.goto(site.url)
        assert await page.title() == "A local site"
        assert (await page.screenshot()).startswith(PNG)
        await browser.close()
        browser = await client.chromium.connect_over_cdp(session["cdp_url"])
        [again] = browser.contexts[0].pages
        assert (again.url, await again.title()) == (f"{site.url}/", "A local site")
        await browser.close()
    await check_screen_and_delete(api, session["id"])


@pytest.mark.parametrize("library", [playwright.sync_api, patchright.sync_api], ids=["playwright", "patchright"])
async def test_a_sync_python_client_drives_a_session_and_finds_it_again(
    api: Api, site: Site, library: ModuleType
) -> None:
    session = await api.create()

    def drive() -> list[Any]:
        with library.sync_playwright() as client:
            browser = client.chromium.connect_over_cdp(session["cdp_url"])
            page = browser.contexts[0].pages[0]
            page.goto(site.url)
            title, picture = page.title(), page.screenshot()
            browser.close()
            browser = client.chromium.connect_over_cdp(session["cdp_url"])
            [again] = browser.contexts[0].pages
            seen = [title, picture[:8], again.url, again.title()]
            browser.close()
            return seen

    assert await asyncio.to_thread(drive) == ["A local site", PNG, f"{site.url}/", "A local site"]
    await check_screen_and_delete(api, session["id"])


@pytest.mark.parametrize(
    ("program", "library"),
    [
        ("drive_playwright.mjs", "playwright-core"),
        ("drive_playwright.mjs", "patchright"),
        ("drive_puppeteer.mjs", "puppeteer-core"),
    ],
)
async def test_a_javascript_client_drives_a_session_and_finds_it_again(
    api: Api, site: Site, program: str, library: str
) -> None:
    node = await run_node(HERE / program, library, CHASER_URL=api.url, CHASER_KEY=api.key, SITE_URL=site.url)
    output, _ = await node.communicate()
    assert node.returncode == 0
    assert json.loads(output) == {
        "status": "creating",
        "title": "A local site",
        "clientScreenshotIsPng": True,
        "apiScreenshotIsPng": True,
        "urlAgain": f"{site.url}/",
        "titleAgain": "A local site",
        "deleted": 204,
        "endedReason": "client_delete",
    }


async def test_the_typescript_sample_of_the_documentation_runs_as_it_stands(
    api: Api, site: Site, tmp_path: Path
) -> None:
    sample = (HERE / "session_lifecycle_sample.ts").read_text()
    for hosted, local in (("https://api.chaser.sh", api.url), ("https://www.example.com", f"{site.url}/visit")):
        assert sample.count(hosted) == 1
        sample = sample.replace(hosted, local)
    (tmp_path / "sample.mts").write_text(sample)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    run = "await import('./sample.mts'); console.log('finished')"
    node = await run_node("--import", "tsx", "--input-type=module", "--eval", run, folder=tmp_path, CHASER_KEY=api.key)
    assert node.stdout is not None
    assert await node.stdout.readline() == b"finished\n"
    assert "Chrome/" in site.visits.get_nowait()["User-Agent"]
    listed = (await api.ask("GET", "/v1/sessions?status=ready")).json["data"]
    [session] = [session for session in listed if await was_driven(api, session["id"])]
    await api.delete(session["id"])  # the sample never disconnects: it ends when its session does
    assert await node.wait() == 0


async def was_driven(api: Api, session_id: str) -> bool:
    return any(event["kind"] == "client_connected" for event in await api.events(session_id))


async def run_node(*arguments: str | Path, folder: Path = HERE, **environment: str) -> asyncio.subprocess.Process:
    """Start Node, which may live in the virtual environment; its stderr goes to the test's own."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    node = shutil.which("node", path=path)
    assert node, "there is no Node; make test brings it"
    return await asyncio.create_subprocess_exec(
        node, *arguments, cwd=folder, env={"PATH": path, **environment}, stdout=asyncio.subprocess.PIPE
    )
