"""How the application is run: aiohttp's runner, with what aiohttp refuses by itself told in our shape."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from chaser_server.tokens import new_uuid7
from chaser_server.web.appkeys import COUNTS
from chaser_server.web.counts import Counts
from chaser_server.web.middleware import ErrorResponse

SHUTDOWN_SECONDS = 1.0

log = logging.getLogger("chaser_server.access")


class Runner(web.AppRunner):
    """Runs an application; a request that is no HTTP gets its JSON error, too."""

    def __init__(self, application: web.Application) -> None:
        # Cancelled handlers would leave a create or a delete half done: a client that leaves changes nothing.
        super().__init__(application, access_log=None, handler_cancellation=False, shutdown_timeout=SHUTDOWN_SECONDS)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Front(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=False,
            access_log=None,
            counts=self.app[COUNTS],
        )


class _Front(web.Server):
    """Makes one `Conversation` for each connection."""

    def __init__(self, *args: Any, counts: Counts, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counts = counts

    def __call__(self) -> RequestHandler:
        return Conversation(self, loop=self._loop, counts=self._counts, **self._kwargs)


class Conversation(RequestHandler):
    """One connection. What its parser cannot read never reaches a middleware. `gone` is set when it is lost."""

    __slots__ = ("_counts", "gone")

    def __init__(self, *args: Any, counts: Counts, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counts = counts
        self.gone = asyncio.Event()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.gone.set()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        request_id = f"req_{new_uuid7()}"
        if status < 500:
            why = _first_line(message)  # the lines behind it quote the request, which may hold a key
            log.info("a request from %s cannot be read: %s", request.remote, why, extra={"request_id": request_id})
            response = ErrorResponse(status, "invalid_request", f"this is no HTTP request: {why}")
        else:
            log.error("request %s failed", request_id, exc_info=exc)
            response = ErrorResponse(500, "internal_error", f"this is our fault; the log names request {request_id}")
        self._counts.errors[response.code] += 1
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response


def _first_line(message: str | None) -> str:
    return (message or "it cannot be parsed").strip().partition("\n")[0]
