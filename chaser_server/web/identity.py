"""Whose request this is: by API key, or by the dashboard's cookie."""

from __future__ import annotations

from aiohttp import web

from chaser_server.errors import Forbidden, Unauthorized
from chaser_server.model import Workspace, utc_now
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
        workspace = await authenticate_cookie(request)
    else:
        key, workspace = await request.app[DOORKEEPER].identify(request.headers.get("Authorization"))
        request[KEY] = key
    request[WORKSPACE] = workspace
    return workspace.id


async def authenticate_cookie(request: web.Request) -> Workspace:
    """The workspace that the dashboard's cookie is for. Raises `Unauthorized`, or `Forbidden` for a foreign page."""
    if request.method not in _READING and "Origin" not in request.headers:
        raise Forbidden("a request with the dashboard's cookie needs an Origin header")
    request.app[OUTSIDE].check_origin(request)
    try:
        sign_in = request.app[SIGNER].read_cookie(request.cookies.get(COOKIE, ""), utc_now())
    except Forbidden as error:
        raise Unauthorized("please sign in to the dashboard") from error
    workspace = await request.app[DOORKEEPER].workspace(sign_in.workspace_id)
    if workspace is None:
        raise Unauthorized("please sign in to the dashboard")
    return workspace


def actor_of(request: web.Request) -> str:
    """Who is behind an authenticated request: a key's prefix, or the dashboard."""
    key = request.get(KEY)
    return DASHBOARD if key is None else key.prefix
