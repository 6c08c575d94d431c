"""Signing in to the dashboard: by a one-time link, or by the operator's password."""

from __future__ import annotations

import hmac
import time
from datetime import timedelta

from aiohttp import web

from chaser_server.errors import Forbidden, NotFound
from chaser_server.model import Actor, Workspace, utc_now
from chaser_server.signing import SignIn
from chaser_server.web import schemas
from chaser_server.web.appkeys import AUDIT, CONFIG, DOORKEEPER, OUTSIDE, PAGES, RATES, SIGNER, USED_LINKS, WORKSPACES
from chaser_server.web.identity import COOKIE, DASHBOARD, actor_of, authenticate_cookie
from chaser_server.web.pages import SAFE_HEADERS

HOME = "/dashboard"
SIGN_IN = f"{HOME}/sign-in"
PASSWORDS_PER_MINUTE = 10
"""How many passwords may be tried, right ones included, by all the world together: a guesser has many addresses."""
_MAX_PASSWORD_BYTES = 4096


async def use_link(request: web.Request) -> web.Response:
    """GET /dashboard/login?token=…: sign in by a one-time link."""
    now = utc_now()
    try:
        link = request.app[SIGNER].read_link(request.query.get("token", ""), now)
        workspace = await request.app[DOORKEEPER].workspace(link.workspace_id)
        # A restored backup may be older than the workspace.
        if workspace is None or workspace.sign_in_epoch != link.epoch:
            raise Forbidden("this sign-in link is no longer valid")
        if not await request.app[USED_LINKS].use(link.nonce, link.expires_at, now):
            raise Forbidden("this sign-in link was used before")
    except Forbidden as error:
        return sign_in_page(request, f"Sorry, {error.message}. Please make another.", status=403)
    return await _signed_in(request, workspace, "link")


def sign_in_page(request: web.Request, problem: str, *, status: int = 200) -> web.Response:
    """How to sign in here, and what went wrong, if something did."""
    name = "sign-in-password" if request.app[CONFIG].dashboard.password else "sign-in"
    values = {"problem": problem}
    return request.app[PAGES].render(request, name, title="Sign in", status=status, signed_in=False, values=values)


async def use_password(request: web.Request) -> web.Response:
    """POST /dashboard/login with a form's `password`: sign in to the default workspace."""
    request.app[OUTSIDE].check_origin(request)
    configured = request.app[CONFIG].dashboard.password
    if not configured:
        raise NotFound("no password is set; `python -m chaser_server login` makes a sign-in link")
    given = schemas.parse_password(await request.read())
    request.app[RATES].take("passwords", "", time.monotonic())
    workspace = await request.app[DOORKEEPER].default_workspace()
    if not hmac.compare_digest(given.encode()[:_MAX_PASSWORD_BYTES], configured.encode()):
        who = Actor("", request.remote or "")
        await request.app[AUDIT].note(workspace.id, "sign_in_refused", who, way="password")
        return web.Response(status=303, headers={"Location": f"{SIGN_IN}?wrong=1"})
    return await _signed_in(request, workspace, "password")


async def sign_out(request: web.Request) -> web.Response:
    """POST /dashboard/logout"""
    request.app[OUTSIDE].check_origin(request)
    response = web.Response(status=303, headers={"Location": SIGN_IN})
    response.del_cookie(COOKIE, path="/")
    return response


async def sign_out_everywhere(request: web.Request) -> web.Response:
    """POST /dashboard/logout/everywhere: what has let anybody in to this workspace's dashboard is void from now on."""
    workspace = await authenticate_cookie(request)
    await request.app[WORKSPACES].sign_out(workspace.id)
    await request.app[AUDIT].note(workspace.id, "signed_out_everywhere", actor_of(request))
    return await sign_out(request)


async def _signed_in(request: web.Request, workspace: Workspace, way: str) -> web.Response:
    who = Actor(DASHBOARD, request.remote or "")
    await request.app[AUDIT].note(workspace.id, "signed_in", who, way=way)
    life = timedelta(hours=request.app[CONFIG].dashboard.session_hours)
    response = web.Response(status=303, headers={**SAFE_HEADERS, "Location": HOME})
    response.set_cookie(
        COOKIE,
        request.app[SIGNER].sign_cookie(SignIn(workspace.id, utc_now() + life, workspace.sign_in_epoch)),
        max_age=int(life.total_seconds()),
        httponly=True,
        samesite="Strict",
        secure=request.app[OUTSIDE].base(request).startswith("https"),
        path="/",
    )
    return response
