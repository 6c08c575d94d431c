"""What lies under /sessions/{session_id}: the CDP door, DevTools discovery, the live view."""

from __future__ import annotations

from chaser_server.web.openapi.parts import (
    OPEN,
    SESSION_ID,
    Json,
    answer,
    header,
    in_path,
    operation,
    query,
    raw,
    shape,
)
from chaser_server.web.openapi.schemas import SESSION

CDP, VIEW = "CDP", "Live view"
_KEY = query("key", "An API key, where cdp.require_key asks for one and no header can be set.", {"type": "string"})
_DOOR = (
    "unauthorized",
    "forbidden",
    "session_not_found",
    "not_found",
    "session_not_ready",
    "session_not_open",
    "substrate_unavailable",
)
_UPGRADED = answer("A WebSocket.", headers={"Upgrade": header("RFC 6455 4.2.2", "websocket")})
_TARGET = in_path("target", "The target's id.", "6D8A0F9E1C2B4A3D", pattern="^[A-Za-z0-9_-]+$")
_SOCKET = f"ws://127.0.0.1:7070/sessions/{SESSION}/devtools"
_VERSION = {
    "Browser": "Chrome/156.0.7000.1",
    "Protocol-Version": "1.3",
    "webSocketDebuggerUrl": f"{_SOCKET}/browser/9f1c2b4a-3d6d-4a0f-9e1c-2b4a3d6d8a0f",
}
_TARGETS = [
    {
        "id": "6D8A0F9E1C2B4A3D",
        "type": "page",
        "title": "Example Domain",
        "url": "https://example.com/",
        "webSocketDebuggerUrl": f"{_SOCKET}/page/6D8A0F9E1C2B4A3D",
    }
]
_ASK = "The session's id is the capability: no key is asked for, unless `cdp.require_key` says so. "


def _socket(name: str, summary: str, *parameters: Json, description: str) -> Json:
    return operation(
        name,
        summary,
        tag=CDP,
        description=_ASK + description,
        security=OPEN,
        parameters=[SESSION_ID, *parameters, _KEY],
        responses={"101": _UPGRADED},
        errors=("invalid_request", *_DOOR),
    )


def _discovery(name: str, summary: str, *parameters: Json, response: Json) -> Json:
    return operation(
        name,
        summary,
        tag=CDP,
        description="As Chromium answers it, with WebSocket URLs that lead back to this server.",
        security=OPEN,
        parameters=[SESSION_ID, *parameters, _KEY],
        responses={"200": response},
        errors=_DOOR,
    )


def _targets(name: str, summary: str) -> Json:
    listed = answer("What can be connected to.", {"type": "array", "items": shape("Target")}, example=_TARGETS)
    return _discovery(name, summary, response=listed)


_PROTOCOL = answer("The DevTools protocol of this Chromium.", {"type": "object"}, example={"version": {"major": "1"}})
_DONE = raw("Done.", "text/plain", {"type": "string"}, example="Target is closing")

BROWSER = _socket(
    "connectBrowser",
    "Connect to the browser",
    description="The browser-level DevTools WebSocket, for connectOverCDP and browserWSEndpoint. While the session is "
    "`creating`, the upgrade is held for up to 30 s. At the session's end the close frame is 1001 with the "
    "`ended_reason`.",
)
TARGET = _socket(
    "connectTarget",
    "Connect to one target",
    in_path("kind", "What it is.", "page", enum=["browser", "page"]),
    _TARGET,
    description="The DevTools WebSocket of the browser, or of one page.",
)
VERSION = _discovery(
    "getVersion", "Show the browser's version", response=answer("", shape("Version"), example=_VERSION)
)
NEW = _discovery(
    "openTarget",
    "Open a page",
    response=answer("The new target. The raw query is the address to open.", shape("Target"), example=_TARGETS[0]),
)
ACTIVATE = _discovery("activateTarget", "Bring a page to the front", _TARGET, response=_DONE)
CLOSE = _discovery("closeTarget", "Close a page", _TARGET, response=_DONE)

ROOT_PROTOCOL = operation(
    "getAnyProtocol",
    "Show the DevTools protocol of any browser",
    tag=CDP,
    description="Told by any browser that is up, for all are the same Chromium.",
    security=OPEN,
    responses={"200": _PROTOCOL},
    errors=("forbidden", "not_found", "substrate_unavailable"),
)

PREVIEW = operation(
    "watch",
    "Watch, and drive, the screen",
    tag=VIEW,
    description="Binary frames down, JSON both ways; the wire format is in docs. Close codes: 4401 the token has "
    "expired, 4404 no such session, 4410 the session ended (the reason is its `ended_reason`).",
    security=OPEN,
    parameters=[SESSION_ID, query("token", "As minted by preview-token.", {"type": "string"}, required=True)],
    responses={"101": _UPGRADED},
    errors=("invalid_request", "forbidden", "session_not_found", "session_not_open", "substrate_unavailable"),
)

_BASE = "/sessions/{session_id}"
PATHS: dict[str, Json] = {
    _BASE: {"get": BROWSER},
    f"{_BASE}/devtools/{{kind}}/{{target}}": {"get": TARGET},
    f"{_BASE}/json/version": {"get": VERSION},
    f"{_BASE}/json": {"get": _targets("listTargets", "List targets")},
    f"{_BASE}/json/list": {"get": _targets("listTargetsAsWell", "List targets, by its other name")},
    f"{_BASE}/json/new": {"put": NEW},
    f"{_BASE}/json/activate/{{target}}": {"get": ACTIVATE},
    f"{_BASE}/json/close/{{target}}": {"get": CLOSE},
    f"{_BASE}/json/protocol": {"get": _discovery("getProtocol", "Show the DevTools protocol", response=_PROTOCOL)},
    "/json/protocol": {"get": ROOT_PROTOCOL},
    f"{_BASE}/preview": {"get": PREVIEW},
}
