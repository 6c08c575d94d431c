"""For whoever runs the server: is it alive, does it take sessions."""

from __future__ import annotations

from aiohttp import web

from chaser_server.web.appkeys import SERVICE


async def healthz(request: web.Request) -> web.Response:
    """GET /healthz: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: sessions are being taken; 503 while the server drains."""
    if request.app[SERVICE].draining:
        return web.json_response({"status": "draining"}, status=503, headers={"Retry-After": "10"})
    return web.json_response({"status": "ready"})
