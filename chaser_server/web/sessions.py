"""The REST handlers of /v1/sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiohttp import web

from chaser_server.errors import InvalidRequest
from chaser_server.model import Page, SessionSpec
from chaser_server.sessions.running import RunningSession
from chaser_server.tokens import is_test_key
from chaser_server.web import schemas
from chaser_server.web.appkeys import AUDIT, CONFIG, KEY, OUTSIDE, RATES, SERVICE, SESSION_ID, WORKSPACE
from chaser_server.web.identity import actor_of, authenticate
from chaser_server.web.runner import Conversation


async def create(request: web.Request) -> web.Response:
    """POST /v1/sessions; with `Prefer: wait=N` it waits in line for a place"""
    await authenticate(request)
    profile, ttl_seconds = schemas.parse_create(await request.read())
    workspace, key = request[WORKSPACE], request.get(KEY)
    request.app[RATES].take("creates", workspace.id, asyncio.get_running_loop().time())
    spec = SessionSpec(
        workspace_id=workspace.id,
        key_id=None if key is None else key.id,
        profile=profile,
        ttl_seconds=ttl_seconds,
        rehearsal=key is not None and is_test_key(key.prefix),
    )
    wait_seconds = schemas.parse_wait(request.headers.getall("Prefer", []))
    service = request.app[SERVICE]
    claiming = service.claim(spec, workspace, wait_seconds=wait_seconds)
    session = await service.begin(await (_in_line(request, claiming) if wait_seconds else claiming))
    request[SESSION_ID] = session.id
    await request.app[AUDIT].note(
        workspace.id, "session_created", actor_of(request), session_id=session.id, profile=profile
    )
    body = schemas.render_created(session, request.app[OUTSIDE].cdp_url(request, session.id))
    return web.json_response(body, status=201, headers={"Location": f"/v1/sessions/{session.id}"})


async def _in_line(request: web.Request, claiming: Coroutine[Any, Any, RunningSession]) -> RunningSession:
    """Wait for a place; who was welcome at the end of the line must still be so at its head."""
    running = await _unless_gone(request, claiming)
    try:
        await authenticate(request)
    except BaseException:
        request.app[SERVICE].give_back(running)
        raise
    return running


async def _unless_gone(request: web.Request, claiming: Coroutine[Any, Any, RunningSession]) -> RunningSession:
    """Wait for a place as long as the caller does."""
    conversation = request.protocol
    assert isinstance(conversation, Conversation)
    task = asyncio.create_task(claiming, name="claim in line")
    gone = asyncio.create_task(conversation.gone.wait(), name="caller in line")
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        raise ConnectionResetError("the caller left the line")
    return task.result()


async def show(request: web.Request) -> web.Response:
    """GET /v1/sessions/{session_id}, with ?wait=ready&timeout=N as soon as it has left `creating`"""
    workspace_id, session_id = await authenticate(request), request.match_info["session_id"]
    wait = request.query.get("wait")
    if wait not in (None, "ready"):
        raise InvalidRequest("wait must be 'ready'")
    high = schemas.WAIT_HIGH
    seconds = schemas.parse_integer(request.query, "timeout", default=high, low=0, high=high)
    service = request.app[SERVICE]
    if wait is None:
        session = await service.get(workspace_id, session_id)
    else:
        session = await service.wait_settled(workspace_id, session_id, seconds)
    cdp_url = request.app[OUTSIDE].cdp_url(request, session.id)
    return web.json_response(schemas.render_session(session, cdp_url, request.app[CONFIG].metering.count))


async def listing(request: web.Request) -> web.Response:
    """GET /v1/sessions"""
    page = await requested_page(request, await authenticate(request))
    outside, metering = request.app[OUTSIDE], request.app[CONFIG].metering.count
    return web.json_response(
        {
            "object": "list",
            "data": [
                schemas.render_session(session, outside.cdp_url(request, session.id), metering)
                for session in page.sessions
            ],
            "next_cursor": schemas.make_cursor(page.sessions[-1]) if page.has_more else None,
            "has_more": page.has_more,
        }
    )


async def requested_page(request: web.Request, workspace_id: str) -> Page:
    """The page of sessions that `limit`, `cursor` and `status` in the query ask for."""
    limit = schemas.parse_integer(
        request.query, "limit", default=schemas.LIMIT_DEFAULT, low=schemas.LIMIT_LOW, high=schemas.LIMIT_HIGH
    )
    return await request.app[SERVICE].page(
        workspace_id,
        limit=limit,
        before=schemas.parse_cursor(request.query),
        status=schemas.parse_status(request.query),
    )


async def delete(request: web.Request) -> web.Response:
    """DELETE /v1/sessions/{session_id}"""
    workspace_id = await authenticate(request)
    await request.app[SERVICE].delete(workspace_id, request.match_info["session_id"], actor_of(request))
    return web.Response(status=204)


async def screenshot(request: web.Request) -> web.Response:
    """POST /v1/sessions/{session_id}/screenshot"""
    workspace_id = await authenticate(request)
    session_id = request.match_info["session_id"]
    await request.app[SERVICE].ready_session(workspace_id, session_id)
    request.app[RATES].take("screenshots", session_id, asyncio.get_running_loop().time())
    picture = await request.app[SERVICE].screenshot(workspace_id, session_id)
    return web.Response(body=picture, content_type="image/png")


async def events(request: web.Request) -> web.Response:
    """GET /v1/sessions/{session_id}/events"""
    workspace_id, session_id = await authenticate(request), request.match_info["session_id"]
    service = request.app[SERVICE]
    timeline = await service.events(workspace_id, session_id)
    return web.json_response(schemas.render_events(await service.get(workspace_id, session_id), timeline))


async def egress(request: web.Request) -> web.Response:
    """GET /v1/sessions/{session_id}/egress: who got its bytes"""
    workspace_id, session_id = await authenticate(request), request.match_info["session_id"]
    rows = await request.app[SERVICE].ledger(workspace_id, session_id)
    return web.json_response(schemas.render_ledger(rows))
