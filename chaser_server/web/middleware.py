"""Around every request: its id, its line in the log, and every error as the JSON the API promises."""

from __future__ import annotations

import json
import logging
import re
import time

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from chaser_server import errors
from chaser_server.tokens import new_uuid7
from chaser_server.web.appkeys import (
    AUDIT,
    COUNTS,
    DOORKEEPER,
    ERROR_CODE,
    RATES,
    REQUEST_ID,
    SESSION_ID,
    WORKSPACE,
)
from chaser_server.web.identity import actor_of

BODY_LIMIT_BYTES = 64 * 1024

log = logging.getLogger("chaser_server.access")

_REFUSED = (401, 402, 403, 429)
REFUSALS_PER_MINUTE = 30
CLIENT_GONE = 499
"""What log and numbers say of a request whose client left before the answer: nginx's word, for HTTP has none."""
_SESSION = re.compile(r"sess_[0-9a-f-]{1,36}")  # what else stands in its place is a stranger's text
_ROUTINE = ("/healthz", "/readyz", "/metrics", "/dashboard/data/", "/dashboard/static/")

_STATUS: dict[str, int] = {
    errors.InvalidRequest.code: 400,
    errors.Unauthorized.code: 401,
    errors.PaymentRequired.code: 402,
    errors.Forbidden.code: 403,
    errors.NotFound.code: 404,
    errors.SessionNotFound.code: 404,
    errors.KeyRevoked.code: 409,
    errors.SessionNotReady.code: 409,
    errors.SessionNotOpen.code: 409,
    errors.ConcurrencyLimit.code: 429,
    errors.RateLimited.code: 429,
    errors.SubstrateUnavailable.code: 503,
}


class ErrorResponse(web.Response):
    """An error in the one shape that all have."""

    def __init__(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": {"code": code, "message": message}})
        super().__init__(text=body, status=status, content_type="application/json")
        self.code = code


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised below into an error response."""
    try:
        return await handler(request)
    except errors.ChaserError as error:
        response = _from_ours(error)
        if response.status == 500:
            log.error("request %s failed: %s", request[REQUEST_ID], error.message, extra=_ids(request))
    except web.HTTPException as error:
        response = _from_aiohttp(error)
    except (web.RequestPayloadError, HttpProcessingError):
        response = ErrorResponse(400, "invalid_request", "the body is not what its headers say it is")
    except ConnectionResetError:
        if not _left_early(request):
            raise
        return web.Response(status=CLIENT_GONE)  # nobody reads it
    except Exception:
        log.exception("request %s failed", request[REQUEST_ID], extra=_ids(request))
        why = f"this is our fault; the log names request {request[REQUEST_ID]}"
        response = ErrorResponse(500, "internal_error", why)
    request[ERROR_CODE] = response.code
    request.app[COUNTS].errors[response.code] += 1
    return response


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, count it, and write one line when it is answered.

    The query may hold secrets and is left out; the path is written as it came, escapes and all, so that no request
    writes a line of its own. What is asked again and again by machines, and went well, is for `debug` only.
    """
    request_id = request[REQUEST_ID] = f"req_{new_uuid7()}"
    began = time.monotonic()
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
    request.app[COUNTS].note_answer(request, response.status)
    path = request.rel_url.raw_path
    extra = {
        **_ids(request),
        "method": request.method,
        "path": path,
        "status": response.status,
        "code": request.get(ERROR_CODE),
        "milliseconds": round((time.monotonic() - began) * 1000, 1),
        "remote": request.remote,
    }
    level = logging.DEBUG if path.startswith(_ROUTINE) and response.status < 400 else logging.INFO
    log.log(level, "%s %s %s", request.method, path, response.status, extra=extra)
    return response


def _left_early(request: web.Request) -> bool:
    """Whether the client has gone before any of its answer went out."""
    is_gone = request.transport is None or request.transport.is_closing()
    return is_gone and request.writer.output_size == 0


def _ids(request: web.Request) -> dict[str, object]:
    """What finds a request, and the session it was about, in the log."""
    session_id = request.get(SESSION_ID) or request.match_info.get("session_id", "")
    return {"request_id": request[REQUEST_ID], "session_id": session_id if _SESSION.fullmatch(session_id) else None}


@web.middleware
async def note_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put refused requests into the audit: a bounded number, since a stranger decides how many there are."""
    response = await handler(request)
    if response.status in _REFUSED and not response.prepared:
        workspace = request.get(WORKSPACE) or await request.app[DOORKEEPER].default_workspace()
        try:
            request.app[RATES].take("refusals", workspace.id, time.monotonic())
        except errors.RateLimited:
            return response
        # The route, not the path: a session's id is a capability, and strangers may write anything into a path.
        route = request.match_info.route.resource
        path = "" if route is None else route.canonical
        detail = {"method": request.method, "path": path, "status": response.status}
        await request.app[AUDIT].note(workspace.id, "request_refused", actor_of(request), **detail)
    return response


def _from_ours(error: errors.ChaserError) -> ErrorResponse:
    status = _STATUS.get(error.code, 500)
    response = ErrorResponse(status, error.code, error.message)
    if isinstance(error, errors.Retryable):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110 11.6.1
    return response


def _from_aiohttp(error: web.HTTPException) -> ErrorResponse:
    """What aiohttp itself refuses: routes, methods and sizes."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        response = ErrorResponse(405, "method_not_allowed", f"{error.method} is not possible here; possible: {allowed}")
        response.headers["Allow"] = allowed
        return response
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ErrorResponse(413, "payload_too_large", f"the body may have at most {BODY_LIMIT_BYTES} bytes")
    if error.status == 404:
        return ErrorResponse(404, "not_found", "there is nothing at this path")
    code = "invalid_request" if error.status < 500 else "internal_error"
    return ErrorResponse(error.status, code, error.reason or "the request cannot be answered")
