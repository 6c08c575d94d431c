"""What a DevTools client may not ask for when nothing but the proxy setting keeps its pages on the counted way."""

from __future__ import annotations

import json
from typing import Any

_CREATE_CONTEXT = "Target.createBrowserContext"
_NESTED = "Target.sendMessageToTarget"
_EXPOSE = "Target.exposeDevToolsProtocol"
"""Gives a page DevTools of its own, to ask there what nobody looks into."""


def asks_for_own_proxy(message: bytes | str) -> bool:
    """Whether a CDP message would make, or let a page make, a browser context with its own proxy: nobody counts that.

    Repeated keys count each, since it is not for us to know which of them Chromium heeds. What cannot be read here is
    taken for one that asks: Chromium's parser is not this one, and reads, for example, a bare tab within a string.
    """
    pairs: list[tuple[str, Any]] = []

    def collect(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs.extend(found)
        return dict(found)

    try:
        json.loads(message, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return True
    methods = {value for key, value in pairs if key == "method" and isinstance(value, str)}
    if _EXPOSE in methods or (_CREATE_CONTEXT in methods and any(key == "proxyServer" for key, _ in pairs)):
        return True
    nested = (
        [value for key, value in pairs if key == "message" and isinstance(value, str)] if _NESTED in methods else []
    )
    return any(asks_for_own_proxy(text) for text in nested)
