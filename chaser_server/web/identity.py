"""Whose request this is: by API key, or by the dashboard's cookie."""

from __future__ import annotations

from aiohttp import web

from chaser_server.errors import Forbidden, Unauthorized
from chaser_server.model import Actor, Workspace, utc_now
from chaser_server.web.appkeys import DOORKEEPER, KEY, OUTSIDE, SIGNER, WORKSPACE

COOKIE = "chaser_session"
DASHBOARD = "dashboard"
"""How the audit calls whoever acts by cookie."""
_READING = ("GET", "HEAD")


async def authenticate(request: web.Request) -> str:
    """Note whose request this is; returns the workspace's id. Raises `Unauthorized` or `Forbidden`.

    A cookie counts where there is no `Authorization` header, and changes nothing unless its Origin says that the
    request comes from our own pages.
    """
    if "Authorization" not in request.headers and COOKIE in request.cookies:
        return (await authenticate_cookie(request)).id
    request[KEY], request[WORKSPACE] = await request.app[DOORKEEPER].identify(request.headers.get("Authorization"))
    return request[WORKSPACE].id


async def authenticate_cookie(request: web.Request) -> Workspace:
    """The workspace that the dashboard's cookie is for. Raises `Unauthorized`, or `Forbidden` for a foreign page.

    Pages that may open WebSockets here (`server.allowed_origins`) are foreign, too: what the cookie can do is more.
    """
    try:
        sign_in = request.app[SIGNER].read_cookie(request.cookies.get(COOKIE, ""), utc_now())
    except Forbidden as error:
        raise Unauthorized("please sign in to the dashboard") from error
    workspace = await request.app[DOORKEEPER].workspace(sign_in.workspace_id)
    if workspace is None or workspace.sign_in_epoch != sign_in.epoch:
        raise Unauthorized("please sign in to the dashboard")
    request[WORKSPACE] = workspace
    if request.method not in _READING and "Origin" not in request.headers:
        raise Forbidden("a request with the dashboard's cookie needs an Origin header")
    request.app[OUTSIDE].check_origin(request, own_only=True)
    return workspace


def actor_of(request: web.Request) -> Actor:
    """Who is behind a request: a key's prefix, the dashboard, or nobody known, and where from."""
    key = request.get(KEY)
    known = DASHBOARD if WORKSPACE in request else ""
    return Actor(known if key is None else key.prefix, request.remote or "")
