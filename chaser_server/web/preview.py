"""The live view's door: mints tokens, and streams to whoever shows one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from aiohttp import WSMsgType, web

from chaser_server.errors import Forbidden, SessionNotFound, SessionNotOpen, SessionNotReady
from chaser_server.model import ByteCount, utc_now
from chaser_server.sessions.running import RunningSession
from chaser_server.signing import PreviewGrant, whole_milliseconds
from chaser_server.substrate.base import View
from chaser_server.web import schemas
from chaser_server.web.appkeys import CONFIG, COUNTS, DOORKEEPER, OUTSIDE, RATES, SERVICE, SIGNER, WORKSPACE
from chaser_server.web.counts import Counts
from chaser_server.web.identity import authenticate

TOKEN_EXPIRED = 4401
SESSION_ENDED = 4410
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
HEARTBEAT_SECONDS = 15.0


async def mint(request: web.Request) -> web.Response:
    """POST /v1/sessions/{session_id}/preview-token"""
    workspace_id = await authenticate(request)
    may_drive = schemas.parse_preview(await request.read())
    session_id = request.match_info["session_id"]
    running = await request.app[SERVICE].ready_session(workspace_id, session_id)
    if running.rehearsal:
        raise SessionNotOpen("sessions of cha_test_ keys have no screen; use a cha_live_ key to watch one")
    request.app[RATES].take("preview_tokens", session_id, asyncio.get_running_loop().time())
    config = request.app[CONFIG].preview
    expires_at = whole_milliseconds(utc_now() + timedelta(seconds=config.token_seconds))
    epoch = request[WORKSPACE].sign_in_epoch
    token = request.app[SIGNER].sign_preview(PreviewGrant(workspace_id, session_id, may_drive, expires_at, epoch))
    return web.json_response(
        {
            "url": f"{request.app[OUTSIDE].base(request, 'ws')}/sessions/{session_id}/preview?token={token}",
            "expires_at": schemas.short_timestamp(expires_at),
            "input_enabled": may_drive,
            "fps": int(config.fps) if config.fps.is_integer() else config.fps,
        }
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """GET /sessions/{session_id}/preview?token=…: the WebSocket of one viewer."""
    request.app[OUTSIDE].check_origin(request)
    grant = request.app[SIGNER].read_preview(request.query.get("token", ""), utc_now())
    running = await _granted(request, grant)
    assert running.browser is not None, "a ready session has a browser"
    view = await running.browser.view()
    socket = web.WebSocketResponse(compress=False, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE_BYTES)
    await socket.prepare(request)
    count = running.preview.open_part()
    try:
        await _accompany(request, running, view, grant, Wire(socket, count, request.app[COUNTS]))
    finally:
        running.preview.close_part(count)
    return socket


async def _granted(request: web.Request, grant: PreviewGrant) -> RunningSession:
    """The session a token is for. To a stranger, one that has ended looks like one that never was."""
    session_id = request.match_info["session_id"]
    unknown = SessionNotFound("this preview token opens no session here")
    if grant.session_id != session_id:
        raise unknown
    workspace = await request.app[DOORKEEPER].workspace(grant.workspace_id)
    if workspace is None or workspace.sign_in_epoch != grant.epoch:
        raise Forbidden("this preview token is no longer valid")
    try:
        return await request.app[SERVICE].ready_session(grant.workspace_id, session_id)
    except (SessionNotFound, SessionNotOpen, SessionNotReady) as error:
        raise unknown from error


async def _accompany(
    request: web.Request, running: RunningSession, view: View, grant: PreviewGrant, wire: Wire
) -> None:
    """Stream until the viewer goes, its token expires or the session ends, and keep the session's books."""
    if not running.is_open:  # it ended while the socket was upgraded
        await wire.close(SESSION_ENDED, running.record.ended_reason or "error")
        return
    service, began = request.app[SERVICE], utc_now()
    viewer = Viewer(asyncio.current_task())
    running.attach(viewer, only_views=True)
    request.app[COUNTS].viewers_accepted += 1
    service.note(running, "viewer_connected", {"remote": request.remote, "may_drive": grant.may_drive})
    try:
        async with asyncio.timeout((grant.expires_at - began).total_seconds()) as time_left:
            await view.serve(wire, may_drive=grant.may_drive)
    except TimeoutError:
        if not time_left.expired():
            raise
        await wire.close(TOKEN_EXPIRED, "the preview token has expired")
    except asyncio.CancelledError:
        if viewer.goodbye is None:
            raise
        viewer.calm()
        await wire.close(SESSION_ENDED, viewer.goodbye)
    finally:
        running.detach(viewer, only_views=True)
        seconds = round((utc_now() - began).total_seconds(), 3)
        moved: dict[str, object] = {"seconds": seconds, "bytes_up": wire.count.up, "bytes_down": wire.count.down}
        service.note(running, "viewer_disconnected", moved)


class Viewer:
    """A viewer as its session knows it: somebody to be told when it is over."""

    def __init__(self, streaming: asyncio.Task[object] | None) -> None:
        self.goodbye: str | None = None
        self._streaming = streaming

    def close(self, code: int, reason: str) -> None:
        """Stop the stream; viewers have a close code of their own for that, whatever `code` other clients get."""
        self.goodbye = reason
        if self._streaming is not None:
            self._streaming.cancel()

    def calm(self) -> None:
        """The cancellation was ours, and has done its work."""
        if self._streaming is not None:
            self._streaming.uncancel()


class Wire:
    """A viewer's WebSocket as the live view speaks to it; counts what passes."""

    def __init__(self, socket: web.WebSocketResponse, count: ByteCount, counts: Counts) -> None:
        self._socket = socket
        self._counts = counts
        self.count = count

    async def send_bytes(self, data: bytes) -> None:
        self.count.down += frame_bytes(len(data), masked=False)
        await self._socket.send_bytes(data)
        self._counts.frames_sent += 1  # whatever is binary on the way down is a picture

    async def send_text(self, text: str) -> None:
        self.count.down += frame_bytes(len(text.encode()), masked=False)
        await self._socket.send_str(text)

    async def receive_text(self) -> str | None:
        message = await self._socket.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        size = len(message.data if message.type is WSMsgType.BINARY else message.data.encode())
        self.count.up += frame_bytes(size, masked=True)
        return str(message.data) if message.type is WSMsgType.TEXT else ""

    async def close(self, code: int, reason: str) -> None:
        if not self._socket.closed:
            await self._socket.close(code=code, message=reason.encode())


def frame_bytes(payload: int, *, masked: bool) -> int:
    """What a message of that many bytes takes on the wire, in one frame (RFC 6455 5.2)."""
    header = 2 if payload < 126 else 4 if payload < 65536 else 10
    return header + (4 if masked else 0) + payload
