"""The API's own description: for programs, and as a page for people that is made from the same."""

from __future__ import annotations

import json

from aiohttp import web

from chaser_server.web.appkeys import PAGES
from chaser_server.web.openapi.document import document

_DOCUMENT = json.dumps(document()).encode()


async def document_json(request: web.Request) -> web.Response:
    """GET /openapi.json; any page may read it, for it is the same for all"""
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, no-cache"}
    return web.Response(body=_DOCUMENT, content_type="application/json", headers=headers)


async def page(request: web.Request) -> web.Response:
    """GET /docs"""
    return request.app[PAGES].render(request, "docs", title="API", signed_in=False)
