"""What kind of browser a session gets: the configured profiles, filled in from Playwright's device registry."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chaser_server.chromium.cache import AnswerCache
from chaser_server.config import ProfileConfig
from chaser_server.errors import ConfigError

Devices = Mapping[str, Mapping[str, Any]]
PACKED_DEVICES = Path(__file__).with_name("devices.json")
"""The registry in a build of `make dist`, which leaves Playwright out."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A browser to be launched. Sizes are CSS pixels of the viewport, which is also the screen.

    `browser` is the kind of program: "chromium", or "headless-shell", which has no window. `region` is where its
    upstream proxy must be, empty for anywhere; `max_egress_bytes` is a hard cut, 0 for none. `model` and
    `platform_version` are empty for a desktop; a phone tells them in its client hints.
    """

    name: str
    width: int
    height: int
    headless: bool
    browser: str = "chromium"
    scale: float = 1.0
    mobile: bool = False
    touch: bool = False
    screen: tuple[int, int] | None = None
    model: str = ""
    platform_version: str = ""
    locale: str = ""
    timezone: str = ""
    region: str = ""
    max_egress_bytes: int = 0
    extra_args: tuple[str, ...] = ()

    def user_agent(self, chrome_major: int) -> str | None:
        """What the browser is to say it is, or None for its own words.

        Chrome on Android freezes its user agent: always "Android 10; K" and zeros behind the major version; the true
        model and version are in the client hints (https://developer.chrome.com/docs/privacy-security/user-agent-client-hints).
        """
        if self.headless and not self.mobile and sys.platform == "linux":
            return (  # as the same browser says with a screen; its own words would be "HeadlessChrome"
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                f"Chrome/{chrome_major}.0.0.0 Safari/537.36"
            )
        if not self.mobile:
            return None
        return (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{chrome_major}.0.0.0 Mobile Safari/537.36"
        )


def resolve(name: str, config: ProfileConfig, *, display: str, devices: Devices) -> Profile:
    """The profile that a config section describes. Raises `ConfigError` for a device nobody knows."""
    headless = (config.display or display) == "headless" or config.browser == "headless-shell"
    common: dict[str, Any] = {
        "name": name,
        "headless": headless,
        "browser": config.browser,
        "locale": config.locale,
        "timezone": config.timezone,
        "region": config.region,
        "max_egress_bytes": config.max_egress_bytes,
        "extra_args": config.extra_args,
    }
    if not config.device:
        return Profile(width=config.width, height=config.height, **common)
    device = devices.get(config.device)
    if device is None:
        raise ConfigError(
            f"profiles.{name}.device: no device is called {config.device!r}; "
            "the names are those of Playwright's device registry, for example 'Pixel 7' or 'Galaxy S24'"
        )
    if device["default_browser_type"] != "chromium":
        raise ConfigError(f"profiles.{name}.device: {config.device!r} is not a device with Chromium")
    android = re.search(r"Android (\d+); ([^)]+)\)", device["user_agent"])
    return Profile(
        width=device["viewport"]["width"],
        height=device["viewport"]["height"],
        scale=device["device_scale_factor"],
        mobile=device["is_mobile"],
        touch=device["has_touch"],
        screen=None if "screen" not in device else (device["screen"]["width"], device["screen"]["height"]),
        model=android[2] if android else "",
        platform_version=f"{android[1]}.0.0" if android else "",
        **common,
    )


def device_name(user_agent: str) -> str:
    """`{OS}[ {version}] - Chrome {major} ({Desktop|Mobile})`, from what a browser says it is."""
    chrome = re.search(r"Chrome/(\d+)", user_agent)
    kind = "Mobile" if "Mobile" in user_agent else "Desktop"
    return f"{_system(user_agent)} - Chrome {chrome[1] if chrome else '?'} ({kind})"


def _system(user_agent: str) -> str:
    if android := re.search(r"Android (\d+)", user_agent):
        return f"Android {android[1]}"
    for mark, name in (("CrOS", "ChromeOS"), ("Linux", "Linux"), ("Mac OS X", "macOS"), ("Windows", "Windows")):
        if mark in user_agent:
            return name
    return "Unknown"


async def load_devices(cache: AnswerCache) -> Devices:
    """Playwright's device registry.

    It is code inside Playwright's driver, so the driver is started once for it (about a second) and what it says is
    kept in `cache` for this version of Playwright.
    """
    if PACKED_DEVICES.exists():
        packed: Devices = json.loads(PACKED_DEVICES.read_text(encoding="utf-8"))
        return packed
    name = f"devices-{version('playwright')}"
    devices: Devices = cache.get(name)
    if not isinstance(devices, dict):
        devices = await _ask_playwright()
        await asyncio.to_thread(cache.put, name, devices)
    return devices


async def _ask_playwright() -> Devices:
    """A driver that is being started cannot be stopped: whoever is cancelled meanwhile waits until it has gone."""
    asking = asyncio.create_task(_start_driver_and_ask(), name="playwright-devices")
    try:
        return await asyncio.shield(asking)
    finally:
        await asyncio.wait([asking])


async def _start_driver_and_ask() -> Devices:
    from playwright.async_api import async_playwright  # only here: its driver has no part in a running session

    async with async_playwright() as playwright:
        return dict(playwright.devices)
