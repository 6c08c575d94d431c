"""Signing in to the dashboard, and what is for whoever runs the server."""

from __future__ import annotations

from chaser_server.web.openapi.errors import HEADERS
from chaser_server.web.openapi.parts import (
    BY_COOKIE,
    BY_KEY,
    OPEN,
    REQUEST_ID,
    Json,
    answer,
    header,
    operation,
    page,
    query,
)
from chaser_server.web.openapi.schemas import record

SIGN_IN, OPERATIONS = "Dashboard", "Operations"
_NUMBERS = '# TYPE chaser_sessions gauge\nchaser_sessions{status="ready"} 3.0\n'


def _elsewhere(description: str, where: str) -> Json:
    return answer(description, headers={"Location": header("Where to go on.", where)})


def _status(*words: str) -> Json:
    return record(status={"enum": list(words)})


ROOT = operation(
    "findDashboard",
    "Go to the dashboard",
    tag=SIGN_IN,
    description="For people who type the server's address. Who does not ask for text/html is told where things are.",
    security=OPEN,
    responses={"303": _elsewhere("The dashboard.", "/dashboard")},
    errors=("not_found",),
)

LOGIN_LINK = operation(
    "signInByLink",
    "Sign in by a one-time link",
    tag=SIGN_IN,
    description="The link is printed by `python -m chaser_server login`; it is good once, for a quarter of an hour.",
    security=OPEN,
    parameters=[query("token", "As the link has it.", {"type": "string"}, required=True)],
    responses={
        "303": _elsewhere("Signed in: the cookie chaser_session is set.", "/dashboard"),
        "403": page("The link is not valid, was used before or has expired."),
    },
)

_FORM = {"type": "object", "properties": {"password": {"type": "string"}}}
LOGIN_PASSWORD = operation(
    "signInByPassword",
    "Sign in by the operator's password",
    tag=SIGN_IN,
    security=OPEN,
    request_body={
        "required": False,
        "content": {"application/x-www-form-urlencoded": {"schema": _FORM, "example": {"password": "…"}}},
    },
    responses={"303": _elsewhere("Signed in, or back to the form with ?wrong=1.", "/dashboard")},
    description="At most 10 tries a minute, of all callers together.",
    errors=("invalid_request", "forbidden", "not_found", "payload_too_large", "rate_limited"),
)

LOGOUT = operation(
    "signOut",
    "Sign out",
    tag=SIGN_IN,
    security=OPEN,
    responses={"303": _elsewhere("The cookie is gone.", "/dashboard/sign-in")},
    errors=("forbidden",),
)

LOGOUT_EVERYWHERE = operation(
    "signOutEverywhere",
    "Sign everybody out",
    tag=SIGN_IN,
    description="Every sign-in to the dashboard of this workspace is void from now on, as are unused sign-in links and "
    "preview tokens. Keys and open live views go on.",
    security=BY_COOKIE,
    responses={"303": _elsewhere("Everybody has to sign in anew.", "/dashboard/sign-in")},
    errors=("unauthorized", "forbidden"),
)

HEALTH = operation(
    "checkHealth",
    "Ask whether the server lives",
    tag=OPERATIONS,
    security=OPEN,
    responses={"200": answer("The process answers.", _status("ok"), example={"status": "ok"})},
)

READY = operation(
    "checkReadiness",
    "Ask whether sessions are taken",
    tag=OPERATIONS,
    security=OPEN,
    responses={
        "200": answer("They are.", _status("ready"), example={"status": "ready"}),
        "503": answer(
            "The server is shutting down.",
            _status("draining"),
            example={"status": "draining"},
            headers={"Retry-After": HEADERS["Retry-After"]},
        ),
    },
)

METRICS = operation(
    "getMetrics",
    "Read the server's numbers",
    tag=OPERATIONS,
    description="For Prometheus. Open where only this machine can reach the server; elsewhere a key of the default "
    "workspace is needed (`metrics.require_key`).",
    security=[{}, *BY_KEY],
    responses={
        "200": {
            "description": "In the format that Accept asks for.",
            "headers": REQUEST_ID,
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": _NUMBERS},
                "application/openmetrics-text": {"schema": {"type": "string"}, "example": f"{_NUMBERS}# EOF\n"},
            },
        }
    },
    errors=("unauthorized", "forbidden"),
)

DOCUMENT = operation(
    "getDocument",
    "Read this document",
    tag=OPERATIONS,
    security=OPEN,
    responses={"200": answer("OpenAPI 3.1.", {"type": "object", "required": ["openapi", "paths"]})},
)

DOCS = operation(
    "readDocument",
    "Read this document as a page",
    tag=OPERATIONS,
    security=OPEN,
    responses={"200": page("For people.")},
)

PATHS: dict[str, Json] = {
    "/": {"get": ROOT},
    "/dashboard/login": {"get": LOGIN_LINK, "post": LOGIN_PASSWORD},
    "/dashboard/logout": {"post": LOGOUT},
    "/dashboard/logout/everywhere": {"post": LOGOUT_EVERYWHERE},
    "/healthz": {"get": HEALTH},
    "/readyz": {"get": READY},
    "/metrics": {"get": METRICS},
    "/openapi.json": {"get": DOCUMENT},
    "/docs": {"get": DOCS},
}
