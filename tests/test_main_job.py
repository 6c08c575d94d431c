"""The main job, end to end, with Playwright as the client."""

from __future__ import annotations

from playwright.async_api import async_playwright

from tests.api import Api
from tests.site import Site


async def test_a_session_is_created_driven_and_gone(api: Api, site: Site) -> None:
    created = await api.create()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(created["cdp_url"])
        page = browser.contexts[0].pages[0]
        await page.goto(site.url)
        assert await page.title() == "A local site"
        await browser.close()
    session = await api.get(created["id"])
    assert session["status"] == "ready"
    launch = next(event["detail"] for event in await api.events(created["id"]) if event["kind"] == "launched")
    assert list(launch["milliseconds"]) == ["sandbox", "doorman", "screen", "devtools", "pages"]
    assert all(took > 0 for took in launch["milliseconds"].values())
    assert session["bytes_up"] > 0
    assert session["bytes_down"] > 0
    await api.delete(created["id"])
    ended = await api.get(created["id"])
    assert (ended["status"], ended["ended_reason"]) == ("closed", "client_delete")
