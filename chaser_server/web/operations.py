"""For whoever runs the server: is it alive, does it take sessions, how is it doing."""

from __future__ import annotations

from aiohttp import web

from chaser_server.errors import Forbidden
from chaser_server.store.workspaces import DEFAULT_WORKSPACE
from chaser_server.web.appkeys import METRICS, SERVICE, WORKSPACE, WORKSPACES
from chaser_server.web.identity import authenticate


async def healthz(request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: sessions are being taken; 503 while the server drains."""
    if request.app[SERVICE].draining:
        return web.json_response({"status": "draining"}, status=503, headers={"Retry-After": "10"})
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: the server's numbers, in the format that `Accept` asks for."""
    numbers = request.app[METRICS]
    if numbers.needs_key(request.headers):
        await authenticate(request)
        if request[WORKSPACE].name != DEFAULT_WORKSPACE:  # the numbers are of all workspaces
            raise Forbidden("metrics are for whoever runs the server: use a key of the default workspace")
    names = {workspace.id: workspace.name for workspace in await request.app[WORKSPACES].all()}
    body, content_type = numbers.render(request.headers.get("Accept", ""), names)
    return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
