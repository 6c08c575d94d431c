"""Puts the pieces together."""

from __future__ import annotations

from chaser_server import __version__
from chaser_server.web.openapi import doors, server, sessions, workspace
from chaser_server.web.openapi.errors import ERRORS
from chaser_server.web.openapi.parts import Json
from chaser_server.web.openapi.schemas import SCHEMAS

_ABOUT = """Browser sessions: real Chromium, driven over CDP, behind a small REST API.

Create a session, give its `cdp_url` to Playwright or puppeteer, delete it when done. All times are UTC.

Every error is `{"error": {"code", "message"}}`; programs read the code, people the message. Whatever the path, a
request may also be answered with 400 `invalid_request` when it is no HTTP, 404 `not_found` when nothing is there, and
405 `method_not_allowed` with the right methods in `Allow`. Every answer has an `X-Request-Id` that stands in the log,
too. Unknown query parameters are ignored, unknown fields of a body are refused.

Not of this API: the pages below `/dashboard`, and `/dashboard/data/`, where they fetch what they show besides. That is
made for these pages alone and changes with them; what it tells of sessions and usage, programs get from `/v1`."""

_TAGS = (
    (sessions.TAG, "Create, show, watch and end sessions."),
    (doors.CDP, "Where automation clients connect, and DevTools discovery for those that want an http:// address."),
    (doors.VIEW, "The screen as pictures, and a person's input."),
    (workspace.TAG, "Usage, keys and the audit of a workspace."),
    (server.SIGN_IN, "Signing in and out."),
    (server.OPERATIONS, "For whoever runs the server."),
)


def document() -> Json:
    """The whole API as an OpenAPI 3.1.0 object."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chaser-server",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS],
        "paths": {**sessions.PATHS, **doors.PATHS, **workspace.PATHS, **server.PATHS},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: cha_live_… or cha_test_…"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "chaser_session",
                    "description": "The dashboard's; a request that changes something also needs its own Origin.",
                },
            },
        },
        "x-errors": {code: {"status": told.status, "when": told.when} for code, told in ERRORS.items()},
    }
