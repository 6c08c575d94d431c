"""Around every request: its id, its line in the log, and every error as the JSON the API promises."""

from __future__ import annotations

import logging
import time

from aiohttp import web
from aiohttp.typedefs import Handler

from chaser_server import errors
from chaser_server.tokens import new_uuid7
from chaser_server.web import audit
from chaser_server.web.appkeys import DOORKEEPER, RATES, REQUEST_ID, SESSION_ID, WORKSPACE
from chaser_server.web.identity import actor_of

BODY_LIMIT_BYTES = 64 * 1024

log = logging.getLogger("chaser_server.access")

_REFUSED = (401, 402, 403, 429)
REFUSALS_PER_MINUTE = 30

_STATUS: dict[str, int] = {
    errors.InvalidRequest.code: 400,
    errors.Unauthorized.code: 401,
    errors.PaymentRequired.code: 402,
    errors.Forbidden.code: 403,
    errors.NotFound.code: 404,
    errors.SessionNotFound.code: 404,
    errors.SessionNotReady.code: 409,
    errors.SessionNotOpen.code: 409,
    errors.ConcurrencyLimit.code: 429,
    errors.RateLimited.code: 429,
    errors.SubstrateUnavailable.code: 503,
}


def error_response(status: int, code: str, message: str) -> web.Response:
    """An error in the one shape that all have."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised below into an error response."""
    try:
        return await handler(request)
    except errors.ChaserError as error:
        response = _from_ours(error)
        if response.status == 500:
            log.error("request %s failed: %s", request[REQUEST_ID], error.message)
        return response
    except web.HTTPException as error:
        return _from_aiohttp(error)
    except ConnectionResetError:
        raise  # the client has gone: there is nobody to answer
    except Exception:
        log.exception("request %s failed", request[REQUEST_ID])
        return error_response(500, "internal_error", f"this is our fault; the log names request {request[REQUEST_ID]}")


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and write one line when it is answered. The query may hold secrets and is left out."""
    request_id = request[REQUEST_ID] = f"req_{new_uuid7()}"
    began = time.monotonic()
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    extra = {
        "method": request.method,
        "path": request.path,
        "status": response.status,
        "milliseconds": round((time.monotonic() - began) * 1000, 1),
        "request_id": request_id,
        "session_id": request.get(SESSION_ID) or request.match_info.get("session_id"),
        "remote": request.remote,
    }
    log.info("%s %s %s", request.method, request.path, response.status, extra=extra)
    return response


@web.middleware
async def note_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put refused requests into the audit: a bounded number, since a stranger decides how many there are.

    Of the path only its pattern: a stranger decides how long it is, and a session's id, which opens its door, is not
    for the readers of another workspace's audit.
    """
    response = await handler(request)
    if response.status in _REFUSED and not response.prepared:
        workspace = request.get(WORKSPACE) or await request.app[DOORKEEPER].default_workspace()
        try:
            request.app[RATES].take("refusals", workspace.id, time.monotonic())
        except errors.RateLimited:
            return response
        actor = actor_of(request) if WORKSPACE in request else ""
        resource = request.match_info.route.resource
        path = "" if resource is None else resource.canonical
        await audit.note(
            request,
            workspace.id,
            "request_refused",
            actor=actor,
            method=request.method,
            path=path,
            status=response.status,
        )
    return response


def _from_ours(error: errors.ChaserError) -> web.Response:
    status = _STATUS.get(error.code, 500)
    response = error_response(status, error.code, error.message)
    if isinstance(error, errors.Retryable):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 11.6.1
    return response


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses: routes, methods and sizes."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        response = error_response(
            405, "method_not_allowed", f"{error.method} is not possible here; possible: {allowed}"
        )
        response.headers["Allow"] = allowed
        return response
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return error_response(413, "payload_too_large", f"the body may have at most {BODY_LIMIT_BYTES} bytes")
    if error.status == 404:
        return error_response(404, "not_found", "there is nothing at this path")
    code = "invalid_request" if error.status < 500 else "internal_error"
    return error_response(error.status, code, error.reason or "the request cannot be answered")
