"""The REST handlers of /v1/keys, for the dashboard: keys are managed by people, not by keys."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from chaser_server.model import ApiKey, utc_now
from chaser_server.tokens import key_mode, new_key
from chaser_server.web import schemas
from chaser_server.web.appkeys import AUDIT, WORKSPACES
from chaser_server.web.identity import actor_of, authenticate_cookie


async def listing(request: web.Request) -> web.Response:
    """GET /v1/keys"""
    workspace = await authenticate_cookie(request)
    keys = await request.app[WORKSPACES].keys(workspace.id)
    return web.json_response({"keys": [schemas.render_key(key) for key in keys]})


async def create(request: web.Request) -> web.Response:
    """POST /v1/keys"""
    workspace = await authenticate_cookie(request)
    name, mode = schemas.parse_new_key(await request.read())
    secret = new_key(mode)
    key = await request.app[WORKSPACES].add_key(workspace.id, name=name, secret=secret)
    await _note(request, "key_created", key)
    return _with_secret(key, secret)


async def revoke(request: web.Request) -> web.Response:
    """DELETE /v1/keys/{key_id}: invalid from now on."""
    workspace = await authenticate_cookie(request)
    key = await request.app[WORKSPACES].key(workspace.id, request.match_info["key_id"])
    await request.app[WORKSPACES].end_key(key.id, utc_now())
    await _note(request, "key_revoked", key)
    return web.Response(status=204)


async def rotate(request: web.Request) -> web.Response:
    """POST /v1/keys/{key_id}/rotate: a new key; the old one works until its grace ends."""
    workspace = await authenticate_cookie(request)
    grace_days = schemas.parse_rotation(await request.read())
    old = await request.app[WORKSPACES].key(workspace.id, request.match_info["key_id"])
    secret = new_key(key_mode(old.prefix))
    key = await request.app[WORKSPACES].rotate_key(old, secret=secret, end=utc_now() + timedelta(days=grace_days))
    await _note(request, "key_rotated", old, successor=key.prefix, grace_days=grace_days)
    return _with_secret(key, secret)


def _with_secret(key: ApiKey, secret: str) -> web.Response:
    """The only answer that shows a secret; nobody on the way keeps it."""
    body = {**schemas.render_key(key), "secret": secret}
    return web.json_response(body, status=201, headers={"Cache-Control": "no-store"})


async def _note(request: web.Request, kind: str, key: ApiKey, **detail: object) -> None:
    audit, who = request.app[AUDIT], actor_of(request)
    await audit.note(key.workspace_id, kind, who, key=key.prefix, name=key.name, **detail)
