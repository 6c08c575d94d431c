"""What a page finds out about its browser: the desktop is plain, the phone is a phone on every page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, Page, Playwright

from chaser_server.chromium.identity import brands
from tests.api import Api
from tests.devtools import DevTools
from tests.site import Site

PHONE_IN_FULL = """async () => {
    const hints = await navigator.userAgentData.getHighEntropyValues(
        ["architecture", "bitness", "formFactors", "fullVersionList", "model", "platformVersion", "uaFullVersion"])
    return {
        viewport: [innerWidth, innerHeight], scale: devicePixelRatio, screen: [screen.width, screen.height],
        touchPoints: navigator.maxTouchPoints, touchEvents: "ontouchstart" in window,
        coarse: matchMedia("(pointer: coarse)").matches, hover: matchMedia("(hover: hover)").matches,
        platform: navigator.platform, userAgent: navigator.userAgent, webdriver: navigator.webdriver, hints,
    }
}"""


@pytest.fixture(scope="module")
async def phone(api: Api) -> AsyncIterator[dict[str, Any]]:
    session = await api.ready(profile="mobile")
    yield session
    await api.delete(session["id"])


@pytest.fixture
async def browser(playwright: Playwright, phone: dict[str, Any]) -> AsyncIterator[Browser]:
    connected = await playwright.chromium.connect_over_cdp(phone["cdp_url"])
    yield connected
    await connected.close()


def check_phone(seen: dict[str, Any], major: str) -> None:
    """What a page sees is the Pixel 7 of Playwright's registry, in Chrome's words."""
    hints = seen.pop("hints")
    assert seen == {
        "viewport": [412, 839],
        "scale": 2.625,
        "screen": [412, 915],
        "touchPoints": 5,
        "touchEvents": True,
        "coarse": True,
        "hover": False,
        "platform": "Linux armv81",
        "userAgent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{major}.0.0.0 Mobile Safari/537.36",
        "webdriver": False,
    }
    full = {brand["brand"]: brand["version"] for brand in hints.pop("fullVersionList")}
    assert full["Chromium"] == hints.pop("uaFullVersion")
    assert full["Chromium"].startswith(f"{major}.")
    assert {brand["brand"]: brand["version"] for brand in hints.pop("brands")} == {
        brand: version.partition(".")[0] for brand, version in full.items()
    }
    assert hints == {
        "architecture": "",
        "bitness": "",
        "formFactors": ["Mobile"],
        "mobile": True,
        "model": "Pixel 7",
        "platform": "Android",
        "platformVersion": "14.0.0",
    }


async def check_visit(site: Site, page: Page, version: str) -> None:
    """The page that is at /visit, and the request that brought it there, are of the phone."""
    major = version.partition(".")[0]
    headers = site.visits.get_nowait()
    assert headers["Sec-CH-UA-Mobile"] == "?1"
    assert headers["Sec-CH-UA-Platform"] == '"Android"'
    assert f'"Chromium";v="{major}"' in headers["Sec-CH-UA"]
    assert headers["User-Agent"] == await page.evaluate("navigator.userAgent")
    await page.wait_for_function("navigator.platform === 'Linux armv81'")  # said again behind a change of process
    check_phone(await page.evaluate(PHONE_IN_FULL), major)


async def test_the_first_page_of_a_mobile_session_is_on_a_phone(site: Site, browser: Browser) -> None:
    page = browser.contexts[0].pages[0]
    await page.goto(f"{site.url}/visit")
    await check_visit(site, page, browser.version)


async def test_a_new_page_is_on_the_same_phone(site: Site, browser: Browser) -> None:
    page = await browser.contexts[0].new_page()
    await page.goto(f"{site.url}/visit")
    await check_visit(site, page, browser.version)
    await page.close()


async def test_a_page_that_a_page_opens_is_on_the_same_phone(site: Site, browser: Browser) -> None:
    opener = browser.contexts[0].pages[0]
    async with opener.expect_popup() as opened:
        await opener.evaluate("address => { window.open(address) }", f"{site.url}/visit")
    page = await opened.value
    await page.wait_for_load_state()
    await check_visit(site, page, browser.version)
    await page.close()


async def test_it_is_the_phone_again_when_a_client_that_played_something_else_has_left(
    api: Api, site: Site, phone: dict[str, Any], browser: Browser
) -> None:
    page = browser.contexts[0].pages[0]
    await page.goto(f"{site.url}/visit")
    site.visits.get_nowait()
    [target] = (await api.ask("GET", f"/sessions/{phone['id']}/json/list")).json
    async with aiohttp.ClientSession() as http, http.ws_connect(target["webSocketDebuggerUrl"]) as ws:
        other = DevTools(ws)
        await other.send("Emulation.setDeviceMetricsOverride", width=800, height=600, deviceScaleFactor=1, mobile=False)
        await other.send("Emulation.setUserAgentOverride", userAgent="Something else", platform="Something")
        await other.send("Emulation.setTouchEmulationEnabled", enabled=False)
        await page.wait_for_function("innerWidth === 800 && navigator.userAgent === 'Something else'")
    await page.wait_for_function(
        "innerWidth === 412 && innerHeight === 839 && devicePixelRatio === 2.625 && navigator.maxTouchPoints === 5"
        " && navigator.userAgent.includes('Android')"
    )
    await page.goto(f"{site.url}/visit")
    await check_visit(site, page, browser.version)


async def test_the_device_of_a_mobile_session_is_told(phone: dict[str, Any], browser: Browser) -> None:
    assert phone["device"] == f"Android 10 - Chrome {browser.version.partition('.')[0]} (Mobile)"


async def test_the_default_session_is_a_desktop_of_1280_by_720(api: Api, site: Site, playwright: Playwright) -> None:
    session = await api.ready()
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    assert session["device"] == f"Linux - Chrome {browser.version.partition('.')[0]} (Desktop)"
    first = browser.contexts[0].pages[0]
    await first.goto(site.url)
    for page in (first, await browser.contexts[0].new_page(), await browser.new_page(no_viewport=True)):
        await page.wait_for_function("innerWidth === 1280 && innerHeight === 720")
        assert await page.evaluate("[screen.width, screen.height, devicePixelRatio]") == [1280, 720, 1]
        assert await page.evaluate("navigator.webdriver") is False
        assert "Mobile" not in await page.evaluate("navigator.userAgent")
    await browser.close()
    await api.delete(session["id"])


async def test_the_brands_that_a_phone_names_are_those_of_the_browser_itself(
    api: Api, site: Site, playwright: Playwright
) -> None:
    session = await api.ready()
    browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
    page = browser.contexts[0].pages[0]
    await page.goto(site.url)
    hints = await page.evaluate("navigator.userAgentData.getHighEntropyValues(['fullVersionList'])")
    assert brands(browser.version, full=False) == hints["brands"]
    assert brands(browser.version, full=True) == hints["fullVersionList"]
    await browser.close()
    await api.delete(session["id"])
