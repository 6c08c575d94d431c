"""Clients of the DevTools protocol, in the few words that tests need."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp


class DevTools:
    """A browser or a page of it, asked one thing at a time; others may read the socket in between."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._last_id = 0

    async def send(self, method: str, **params: Any) -> Any:
        """Call a method; events that come before its answer are passed over."""
        call = self._call(method, params)
        await self._ws.send_json(call)
        while (answer := await self._ws.receive_json(timeout=20)).get("id") != call["id"]:
            pass
        return _result(answer)

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        result = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Return once a JavaScript condition holds in the page."""
        look = f"() => ({condition}) ? (clearInterval(timer), done()) : 0"
        await self.evaluate(f"new Promise(done => {{ const timer = setInterval({look}, 5) }})")

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last_id += 1
        return {"id": self._last_id, "method": method, "params": params}


class Page(DevTools):
    """A page. Its socket is read by `listen` alone, so that several may ask at once, and events are heard."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(ws)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._awaited: dict[str, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        """Hand out answers until the browser goes."""
        async for message in self._ws:
            answer = message.json()
            if "id" in answer:
                self._asked.pop(answer["id"]).set_result(answer)
            elif (heard := self._awaited.pop(answer["method"], None)) is not None:
                heard.set_result(answer["params"])

    def heard(self, event: str) -> asyncio.Future[Any]:
        """What the next event of that name will say; its domain must be enabled."""
        self._awaited[event] = asyncio.get_running_loop().create_future()
        return self._awaited[event]

    async def send(self, method: str, **params: Any) -> Any:
        """Call a method."""
        call = self._call(method, params)
        self._asked[call["id"]] = answered = asyncio.get_running_loop().create_future()
        await self._ws.send_json(call)
        async with asyncio.timeout(20):  # unlike `wait_for` of Python 3.11 it never takes a cancellation for an answer
            return _result(await asyncio.shield(answered))

    async def fill_the_screen(self) -> None:
        """Make page (x, y) screen (x, y), as the product does."""
        window = await self.send("Browser.getWindowForTarget")
        await self.send("Browser.setWindowBounds", windowId=window["windowId"], bounds={"windowState": "fullscreen"})
        await self.until("innerHeight === screen.height")


def _result(answer: dict[str, Any]) -> Any:
    assert "error" not in answer, answer
    return answer["result"]
