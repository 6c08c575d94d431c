"""What a phone's browser says of itself, in its user agent and in client hints that agree with it. Pure.

Client hints: https://wicg.github.io/ua-client-hints/. A browser that is told other hints than its own no longer adds
its versions to them, so they are said here as Chromium would.
"""

from __future__ import annotations

from typing import Any

from chaser_server.chromium.profiles import Profile

# GREASE: a brand that is none, changing with every major version, so that nobody parses the list by position.
# Characters, versions and order as in Chromium's components/embedder_support/user_agent_utils.cc.
_GREASE_CHARACTERS = (" ", "(", ":", "-", ".", "/", ")", ";", "=", "?", "_")
_GREASE_VERSIONS = ("8", "99", "24")

NAVIGATOR_PLATFORM = "Linux armv81"
"""`navigator.platform` of Chrome on every Android, whatever its processor."""


def user_agent_override(profile: Profile, user_agent: str, chrome_version: str) -> dict[str, Any]:
    """The parameters of `Emulation.setUserAgentOverride`; `chrome_version` has all four numbers."""
    override: dict[str, Any] = {
        "userAgent": user_agent,
        "platform": NAVIGATOR_PLATFORM,
        "userAgentMetadata": {
            "brands": brands(chrome_version, full=False),
            "fullVersionList": brands(chrome_version, full=True),
            "fullVersion": chrome_version,
            "platform": "Android",
            "platformVersion": profile.platform_version,
            "architecture": "",
            "bitness": "",
            "model": profile.model,
            "mobile": True,
            "formFactors": ["Mobile"],
        },
    }
    return {**override, "acceptLanguage": profile.locale} if profile.locale else override


def brands(chrome_version: str, *, full: bool) -> list[dict[str, str]]:
    """The brand list of a Chromium, with `full` versions or only major ones."""
    major = int(chrome_version.partition(".")[0])
    characters, versions = _GREASE_CHARACTERS, _GREASE_VERSIONS
    name = f"Not{characters[major % len(characters)]}A{characters[(major + 1) % len(characters)]}Brand"
    version = versions[major % len(versions)]
    grease = {"brand": name, "version": f"{version}.0.0.0" if full else version}
    chromium = {"brand": "Chromium", "version": chrome_version if full else str(major)}
    return [chromium, grease] if major % 2 else [grease, chromium]
