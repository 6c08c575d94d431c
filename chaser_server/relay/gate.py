"""Looks into a client's messages before they pass, for where the sandbox does not do the forbidding. Sans-I/O.

Only used without isolation: a message is held until it is whole, which costs memory and time that the splice does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn

_FINAL = 0x80
_OPCODE = 0x0F
_MASKED = 0x80
_FIRST_CONTROL = 0x8
MAX_MESSAGE_BYTES = 100 * 1024 * 1024
"""What Chromium accepts in one message; a longer one is forbidden, too."""

IsForbidden = Callable[[bytes], bool]


class ForbiddenMessage(Exception):
    """The client sent what it may not."""


class _Frame(NamedTuple):
    end: int
    payload: bytes


class MessageGate:
    """Passes a client's frames (RFC 6455 5.2) on, message by message, as long as none is forbidden."""

    def __init__(self, is_forbidden: IsForbidden) -> None:
        self._is_forbidden = is_forbidden
        self._buffer = bytearray()
        self._held = bytearray()  # the frames of a message whose last one has not come
        self._message = bytearray()  # what they say, unmasked
        self._is_shut = False

    def feed(self, data: bytes) -> bytes:
        """What may pass now that `data` has come.

        Raises `ForbiddenMessage`, then and ever after: nothing of that message, or behind it, passes or is kept.
        """
        if self._is_shut:
            raise ForbiddenMessage
        self._buffer += data
        passing = bytearray()
        while (frame := _first_frame(self._buffer)) is not None:
            raw, first = self._buffer[: frame.end], self._buffer[0]
            del self._buffer[: frame.end]
            if first & _OPCODE >= _FIRST_CONTROL:
                passing += raw
                continue
            self._held += raw
            self._message += frame.payload
            if first & _FINAL:
                passing += self._release()
        if len(self._buffer) + len(self._held) > MAX_MESSAGE_BYTES:
            self._shut()
        return bytes(passing)

    def _release(self) -> bytearray:
        if self._is_forbidden(bytes(self._message)):
            self._shut()
        held, self._held, self._message = self._held, bytearray(), bytearray()
        return held

    def _shut(self) -> NoReturn:
        self._is_shut = True
        self._buffer, self._held, self._message = bytearray(), bytearray(), bytearray()
        raise ForbiddenMessage


def _first_frame(data: bytearray) -> _Frame | None:
    """The whole frame that `data` begins with, if it does."""
    if len(data) < 2:
        return None
    length, position = data[1] & 0x7F, 2
    extended = {126: 2, 127: 8}.get(length, 0)
    if extended:
        length = int.from_bytes(data[2 : 2 + extended], "big")
        position += extended
    mask = bytes(data[position : position + 4]) if data[1] & _MASKED else b""
    position += 4 if data[1] & _MASKED else 0
    end = position + length
    return _Frame(end, _unmask(bytes(data[position:end]), mask)) if len(data) >= end else None


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455 5.3, all at once: as one large number."""
    if not mask or not payload:
        return payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(payload), "big")
