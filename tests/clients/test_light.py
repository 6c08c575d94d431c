"""The light profile: the small browser without windows, behind the same API and the same walls."""

from __future__ import annotations

from playwright.async_api import Playwright

from chaser_server.chromium.profiles import Profile
from chaser_server.substrate.maker import LocalMaker
from tests.api import Api
from tests.site import Site


async def test_a_light_session_is_driven_pictured_counted_and_gone_like_any_other(
    api: Api, site: Site, playwright: Playwright
) -> None:
    session = await api.ready(profile="light")
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    page = browser.contexts[0].pages[0]
    await page.goto(site.url)
    assert await page.evaluate("[innerWidth, innerHeight, navigator.webdriver]") == [1280, 720, False]
    assert "Headless" not in await page.evaluate("navigator.userAgent")
    other = await browser.contexts[0].new_page()
    await other.close()
    await browser.close()
    picture = await api.ask("POST", f"/v1/sessions/{session['id']}/screenshot")
    assert picture.body[:4] == b"\x89PNG"
    assert (await api.get(session["id"]))["bytes_down"] > 0
    await api.delete(session["id"])


async def test_without_its_browser_a_light_profile_is_unavailable_and_says_what_brings_it() -> None:
    light = Profile(name="light", width=1280, height=720, headless=True, browser="headless-shell")
    maker = LocalMaker.__new__(LocalMaker)
    maker._profiles, maker._executables = {"light": light}, {}
    assert maker.profiles == frozenset()
    assert "headless-shell, is not on this machine; `python -m chaser_server setup`" in maker.unavailable["light"]
