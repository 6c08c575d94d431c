"""DevTools discovery answers, made to point at this server instead of at the browser's own port. Pure.

Chromium's endpoints: https://chromedevtools.github.io/devtools-protocol/#endpoints
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

from chaser_server.tokens import is_key

_PATHS = re.compile(r"/json(/(version|list|protocol|new|activate/[\w-]+|close/[\w-]+))?/?")


def browser_path(tail: str, query: str) -> str | None:
    """The browser's own path for `tail` (what follows the session's path), or None when it is no endpoint.

    `query` is the raw one. For /json/new all of it is the address to open, so an API key that came along is taken out:
    it is for us, not for a web site. Chromium knows /json/version/ with a slash, but /json/ not, so the slash is always
    taken away.
    """
    if not _PATHS.fullmatch(tail):
        return None
    path = tail.rstrip("/")
    if path != "/json/new":
        return path
    address = "&".join(part for part in query.split("&") if not is_key(part.removeprefix("key=")))
    return f"{path}?{address}" if address else path


def rewrite(body: bytes, *, session_url: str, query: str) -> bytes:
    """The answer with its WebSocket and front-end URLs under `session_url`, keeping the client's own `query`."""
    value = json.loads(body)
    for target in value if isinstance(value, list) else [value]:
        if isinstance(target, dict):
            _rewrite_target(target, session_url, f"?{query}" if query else "")
    return json.dumps(value, indent=3).encode()


def _rewrite_target(target: dict[str, Any], session_url: str, query: str) -> None:
    address = target.get("webSocketDebuggerUrl")
    if not address:
        return
    outer = f"{session_url}{urlsplit(address).path}{query}"
    target["webSocketDebuggerUrl"] = outer
    if "devtoolsFrontendUrl" in target:
        front_end = target["devtoolsFrontendUrl"].partition("?")[0]
        scheme, _, rest = outer.partition("://")
        target["devtoolsFrontendUrl"] = f"{front_end}?{scheme}={quote(rest, safe='/:')}"
