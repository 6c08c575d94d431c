"""A conversation in the Chrome DevTools Protocol, without I/O: numbers what is asked, matches what is answered.

Messages are JSON objects as in https://chromedevtools.github.io/devtools-protocol/, in flat session mode.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class CdpError(Exception):
    """The browser answered a call with an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for the call with that number: a result, or an error in the browser's words."""

    number: int
    result: dict[str, Any]
    error: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the browser; `session_id` is empty for the browser itself."""

    method: str
    params: dict[str, Any]
    session_id: str


class Conversation:
    """One side of a DevTools connection."""

    def __init__(self) -> None:
        self._last = 0

    def ask(self, method: str, params: dict[str, Any] | None = None, session_id: str = "") -> tuple[int, str]:
        """The number of a new call and the message that makes it."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params or {}}
        if session_id:
            message["sessionId"] = session_id
        return self._last, json.dumps(message)

    def hear(self, text: str) -> Answer | Event:
        """What a message from the browser says. Raises ValueError when it is no CDP message."""
        message = json.loads(text)
        if "id" in message:
            error = message.get("error")
            return Answer(message["id"], message.get("result", {}), None if error is None else str(error["message"]))
        return Event(message["method"], message.get("params", {}), message.get("sessionId", ""))
