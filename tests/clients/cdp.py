"""A DevTools client that asks one thing at a time, over a socket that others may read in between."""

from __future__ import annotations

from typing import Any

import aiohttp


class Page:
    """One page of a Chromium, or the browser itself."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._last_id = 0

    async def send(self, method: str, **params: Any) -> Any:
        """Call a method; events that come before its answer are passed over."""
        self._last_id += 1
        await self._ws.send_json({"id": self._last_id, "method": method, "params": params})
        while (answer := await self._ws.receive_json(timeout=20)).get("id") != self._last_id:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Return once a JavaScript condition holds in the page."""
        look = f"() => ({condition}) ? (clearInterval(timer), done()) : 0"
        await self.evaluate(f"new Promise(done => {{ const timer = setInterval({look}, 5) }})")
