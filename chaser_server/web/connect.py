"""The CDP door: /sessions/{id} and what lies under it. The session's id is the capability."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import urlencode

from aiohttp import web

from chaser_server.errors import ChaserError, LaunchFailed, NotFound, SubstrateUnavailable
from chaser_server.model import ByteCount, Status
from chaser_server.relay.gate import MessageGate
from chaser_server.relay.splice import UpgradeRefused, join
from chaser_server.relay.tunnel import Relay
from chaser_server.sessions.lives import GOING_AWAY
from chaser_server.sessions.running import RunningSession
from chaser_server.substrate.base import Browser
from chaser_server.web import discovery
from chaser_server.web.appkeys import CONFIG, COUNTS, DOORKEEPER, OUTSIDE, SERVICE

Door = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _counted(door: Door) -> Door:
    """Count whom the door turns away, and why."""

    @wraps(door)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await door(request)
        except ChaserError as error:
            request.app[COUNTS].cdp_refused[error.code] += 1
            raise

    return answer


@_counted
async def browser_socket(request: web.Request) -> web.StreamResponse:
    """GET /sessions/{session_id}[/]: the browser-level DevTools WebSocket."""
    running, browser = await _enter(request)
    return await _relay(request, running, browser, browser.devtools_path)


@_counted
async def target_socket(request: web.Request) -> web.StreamResponse:
    """GET /sessions/{session_id}/devtools/{kind}/{target}: the WebSocket of one target."""
    running, browser = await _enter(request)
    kind, target = request.match_info["kind"], request.match_info["target"]
    return await _relay(request, running, browser, f"/devtools/{kind}/{target}")


async def discover(request: web.Request) -> web.Response:
    """/sessions/{session_id}/json…: what can be connected to, with URLs that lead back here."""
    running, browser = await _enter(request)
    session_id = running.record.id
    path = discovery.browser_path(request.match_info["tail"], request.rel_url.raw_query_string)
    if path is None:
        raise NotFound("there is nothing at this path")
    body = await _fetch(browser, request.method, path)
    query = urlencode({"key": request.query["key"]}) if "key" in request.query else ""
    session_url = request.app[OUTSIDE].cdp_url(request, session_id)
    if path.startswith(("/json/activate", "/json/close")):
        return web.Response(body=body, content_type="text/plain")
    if path != "/json/protocol":
        body = discovery.rewrite(body, session_url=session_url, query=query)
    return web.Response(body=body, content_type="application/json")


async def protocol(request: web.Request) -> web.Response:
    """GET /json/protocol: what DevTools offers, told by any browser that is up, for all are the same Chromium."""
    request.app[OUTSIDE].check_origin(request)
    for running in request.app[SERVICE].running:
        if running.record.status is Status.READY and running.browser is not None and not running.rehearsal:
            with contextlib.suppress(SubstrateUnavailable):  # one that hangs: ask another
                body = await _fetch(running.browser, "GET", "/json/protocol")
                return web.Response(body=body, content_type="application/json")
    raise SubstrateUnavailable("no browser is up that could tell its protocol; create a session first")


async def _fetch(browser: Browser, method: str, path: str) -> bytes:
    """What the browser answers; its refusals become our errors, in its words."""
    status, _, body = await browser.fetch_devtools(method, path)
    if status == 200:
        return body
    said = body.decode("utf-8", "replace").strip() or f"the browser answered {status}"
    raise NotFound(said) if status == 404 else SubstrateUnavailable(said)


async def _enter(request: web.Request) -> tuple[RunningSession, Browser]:
    """Check the visitor, and wait until the session is ready."""
    request.app[OUTSIDE].check_origin(request)
    config = request.app[CONFIG].cdp
    owner = await _key_workspace(request) if config.require_key else None
    running = await request.app[SERVICE].open_door(request.match_info["session_id"], config.hold_seconds, owner)
    assert running.browser is not None, "a ready session has a browser"
    return running, running.browser


async def _key_workspace(request: web.Request) -> str:
    """The workspace of the key that comes along, as a header or as `?key=`."""
    doorkeeper = request.app[DOORKEEPER]
    if "key" in request.query:
        _, workspace = await doorkeeper.identify_key(request.query["key"])
    else:
        _, workspace = await doorkeeper.identify(request.headers.get("Authorization"))
    return workspace.id


async def _relay(request: web.Request, running: RunningSession, browser: Browser, path: str) -> web.StreamResponse:
    """Splice the client to the browser until either leaves."""
    count = running.cdp.open_part()
    try:
        relay = await _join(request, browser, path, count)
        if running.is_open:
            await _accompany(request, running, relay, path, count)
        else:  # it ended while we connected
            relay.close(GOING_AWAY, running.record.ended_reason or "error")
            await relay.wait_closed()
    finally:
        running.cdp.close_part(count)
    return relay.response


async def _join(request: web.Request, browser: Browser, path: str, count: ByteCount) -> Relay:
    try:
        upstream = await browser.connect_devtools()
        forbidden = browser.forbidden_message
        gate = None if forbidden is None else MessageGate(forbidden)
        ping_seconds = request.app[CONFIG].cdp.ping_seconds
        return await join(request, upstream, path=path, count=count, ping_seconds=ping_seconds, gate=gate)
    except UpgradeRefused as error:
        raise NotFound(f"the browser refused the connection: {error.body or error.status}") from error
    except (LaunchFailed, OSError) as error:
        raise SubstrateUnavailable(f"the browser does not answer: {error}") from error


async def _accompany(request: web.Request, running: RunningSession, relay: Relay, path: str, count: ByteCount) -> None:
    """Keep the session's books while the client is connected."""
    service, began = request.app[SERVICE], time.monotonic()
    running.attach(relay)
    request.app[COUNTS].cdp_accepted += 1
    service.note(running, "client_connected", {"remote": request.remote, "path": path})
    try:
        await relay.wait_closed()
    finally:
        running.detach(relay)
        seconds = round(time.monotonic() - began, 3)
        moved: dict[str, object] = {"seconds": seconds, "bytes_up": count.up, "bytes_down": count.down}
        service.note(running, "client_disconnected", moved)
