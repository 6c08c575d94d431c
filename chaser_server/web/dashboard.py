"""The dashboard: its pages, and what they ask for beyond the API.

Everything that changes something goes through /v1, by the same cookie; here one only looks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from chaser_server.errors import NotFound, SessionNotOpen, SessionNotReady, Unauthorized
from chaser_server.limits import GRACE_DAYS_DEFAULT, GRACE_DAYS_HIGH
from chaser_server.model import Session, utc_now
from chaser_server.sessions.running import RunningSession
from chaser_server.web import schemas
from chaser_server.web.appkeys import ASSETS, CONFIG, OUTSIDE, PAGES, SERVICE, USAGE, WORKSPACE, WORKSPACES
from chaser_server.web.audit import KINDS
from chaser_server.web.identity import authenticate, authenticate_cookie
from chaser_server.web.preview import Viewer
from chaser_server.web.sessions import requested_page
from chaser_server.web.signin import HOME, SIGN_IN, sign_in_page
from chaser_server.web.thumbnail import glance
from chaser_server.web.usage import month_of

HOSTS = 15
"""How many hosts the usage page shows."""
QUEUE_SHOWN = 20
"""How many of those who wait the page of sessions shows."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


def _page(show: Handler) -> Handler:
    """A page for people: strangers are sent to sign in, and errors are told in words."""

    async def answer(request: web.Request) -> web.Response:
        try:
            request[WORKSPACE] = await authenticate_cookie(request)
            return await show(request)
        except Unauthorized:
            return _ask_to_sign_in(request)
        except NotFound as error:
            return request.app[PAGES].message(request, title="Not found", text=_sentence(error.message), status=404)

    return answer


def _ask_to_sign_in(request: web.Request) -> web.Response:
    """To the sign-in page; but a link on a foreign page brings no SameSite=Strict cookie along, so look once more."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        text = "One moment: making sure that you are signed in…"
        response = request.app[PAGES].message(request, title="Signing in", text=text, status=200)
        # This answer is a page of our own, so the cookie comes along when it goes on.
        response.headers["Refresh"] = f"0;url={request.rel_url.raw_path}"
        return response
    return web.Response(status=303, headers={"Location": SIGN_IN, "Cache-Control": "no-store"})


def _sentence(message: str) -> str:
    return f"{message[:1].upper()}{message[1:]}."


async def root(request: web.Request) -> web.Response:
    """GET /: a person goes on to the dashboard; a program is told where things are"""
    if "text/html" in request.headers.get("Accept", "").lower():
        headers = {"Location": HOME, "Vary": "Accept", "Cache-Control": "no-store"}
        return web.Response(status=303, headers=headers)
    raise NotFound("the API is below /v1 and described at /docs and /openapi.json; people start at /dashboard")


async def sign_in(request: web.Request) -> web.Response:
    """GET /dashboard/sign-in"""
    problem = "That password is not right." if "wrong" in request.query else ""
    return sign_in_page(request, problem)


@_page
async def sessions(request: web.Request) -> web.Response:
    """GET /dashboard"""
    values = {
        "profiles": json.dumps(list(request.app[CONFIG].profiles)),
        "base": request.app[OUTSIDE].base(request),
    }
    return request.app[PAGES].render(request, "sessions", title="Sessions", values=values)


@_page
async def session(request: web.Request) -> web.Response:
    """GET /dashboard/sessions/{session_id}: the player"""
    session_id = request.match_info["session_id"]
    await request.app[SERVICE].get(request[WORKSPACE].id, session_id)
    return request.app[PAGES].render(request, "session", title=session_id, values={"session_id": session_id})


@_page
async def keys(request: web.Request) -> web.Response:
    """GET /dashboard/keys"""
    values = {"grace_days": str(GRACE_DAYS_DEFAULT), "grace_days_high": str(GRACE_DAYS_HIGH)}
    values["name_high"] = str(schemas.NAME_HIGH)
    return request.app[PAGES].render(request, "keys", title="Keys", values=values)


@_page
async def usage(request: web.Request) -> web.Response:
    """GET /dashboard/usage"""
    return request.app[PAGES].render(request, "usage", title="Usage", values={"hosts": str(HOSTS)})


@_page
async def audit(request: web.Request) -> web.Response:
    """GET /dashboard/audit"""
    return request.app[PAGES].render(request, "audit", title="Audit", values={"kinds": json.dumps(KINDS)})


@_page
async def embed_example(request: web.Request) -> web.Response:
    """GET /dashboard/embed-example: how others embed the player"""
    values = {"base": request.app[OUTSIDE].base(request)}
    return request.app[PAGES].render(request, "embed", title="Embed the player", values=values)


async def asset(request: web.Request) -> web.Response:
    """GET /dashboard/static/{name}"""
    return request.app[ASSETS].answer(request)


async def list_data(request: web.Request) -> web.Response:
    """GET /dashboard/data/sessions: as GET /v1/sessions, with what the table shows besides"""
    workspace_id = await authenticate(request)
    page = await requested_page(request, workspace_id)
    running = {each.record.id: each for each in request.app[SERVICE].running}
    rows = [_row(request, session, running.get(session.id)) for session in page.sessions]
    next_cursor = schemas.make_cursor(page.sessions[-1]) if page.has_more else None
    return web.json_response({"data": rows, "next_cursor": next_cursor}, headers={"Cache-Control": "no-store"})


async def session_data(request: web.Request) -> web.Response:
    """GET /dashboard/data/sessions/{session_id}"""
    workspace_id, session_id = await authenticate(request), request.match_info["session_id"]
    service = request.app[SERVICE]
    found = await service.get(workspace_id, session_id)
    running = next((each for each in service.running if each.record.id == session_id), None)
    return web.json_response(_row(request, found, running), headers={"Cache-Control": "no-store"})


async def queue_data(request: web.Request) -> web.Response:
    """GET /dashboard/data/queue: who of this workspace waits for a place, the first in line first"""
    workspace_id = await authenticate(request)
    line = request.app[SERVICE].waiting.get(workspace_id, ())
    keys = {key.id: key for key in await request.app[WORKSPACES].keys(workspace_id)} if line else {}
    rows = [
        {
            "since": schemas.timestamp(waiter.since),
            "profile": waiter.spec.profile,
            **schemas.render_key_names(keys.get(waiter.spec.key_id or "")),
        }
        for waiter in line[:QUEUE_SHOWN]
    ]
    return web.json_response({"waiting": len(line), "data": rows}, headers={"Cache-Control": "no-store"})


async def thumbnail(request: web.Request) -> web.Response:
    """GET /dashboard/data/sessions/{session_id}/thumbnail: a small JPEG

    304 while it has not changed; 204 when the session has nothing to show, for one that ends just now is no mishap.
    """
    workspace_id, session_id = await authenticate(request), request.match_info["session_id"]
    try:
        running = await request.app[SERVICE].ready_session(workspace_id, session_id)
        assert running.browser is not None, "a ready session has a browser"
        picture = await glance(await running.browser.view())
    except (SessionNotReady, SessionNotOpen):
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    etag = hashlib.sha256(picture).hexdigest()[:16]
    headers = {"Cache-Control": "no-store", "ETag": f'"{etag}"'}
    if any(known.value == etag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=picture, content_type="image/jpeg", headers=headers)


async def hosts_data(request: web.Request) -> web.Response:
    """GET /dashboard/data/usage/hosts: the hosts that most of this month's egress was with"""
    workspace_id, begin = await authenticate(request), month_of(utc_now())
    hosts = await request.app[USAGE].by_host(workspace_id, begin.date().isoformat(), HOSTS)
    rows = [{"host": host, "bytes_up": up, "bytes_down": down} for host, up, down in hosts]
    return web.json_response({"data": rows}, headers={"Cache-Control": "no-store"})


def _row(request: web.Request, session: Session, running: RunningSession | None) -> dict[str, Any]:
    """A session as the dashboard shows it."""
    clients = () if running is None else running.clients
    viewers = sum(isinstance(client, Viewer) for client in clients)
    outside, metering = request.app[OUTSIDE], request.app[CONFIG].metering.count
    return {
        **schemas.render_session(session, outside.cdp_url(request, session.id), metering),
        "profile": session.profile,
        "channels": schemas.render_channels(session),
        "clients": len(clients) - viewers,
        "viewers": viewers,
    }
