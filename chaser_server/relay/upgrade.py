"""The two HTTP heads before the frames: what a client must ask, what we ask the browser, and what it answers.

Sans-I/O. Source: RFC 6455 4.1 and 4.2.1. Knows nothing of transports or frames.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from chaser_server.errors import InvalidRequest

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 16 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3})")
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})", re.IGNORECASE)
_PATH = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """The upstream's answer: its head as it came, and what came behind it (a refusal's body, or the first frames)."""

    status: int
    head: bytes
    rest: bytes


def checked_key(method: str, headers: Mapping[str, str]) -> str:
    """The client's Sec-WebSocket-Key. `InvalidRequest` says what is missing for an upgrade to a WebSocket."""
    if method != "GET":
        raise InvalidRequest("A WebSocket is opened with GET.")
    if "websocket" not in _tokens(headers.get("Upgrade", "")):
        raise InvalidRequest("The Upgrade header must be 'websocket'; this address is a WebSocket.")
    if "upgrade" not in _tokens(headers.get("Connection", "")):
        raise InvalidRequest("The Connection header must contain 'Upgrade'.")
    if headers.get("Sec-WebSocket-Version", "").strip() != "13":
        raise InvalidRequest("The Sec-WebSocket-Version header must be 13.")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if not _is_key(key):
        raise InvalidRequest("The Sec-WebSocket-Key header must be 16 bytes in base64.")
    return key


def request_head(path: str, key: str) -> bytes:
    """Our own upgrade request to the browser, with the client's key so that the browser's answer suits the client.

    No Origin (Chromium refuses foreign ones), no Cookie or Authorization (not the browser's business), no extensions
    (nobody here could take a deflated frame apart) and no subprotocol. `InvalidRequest` when `path` cannot stand in a
    request line.
    """
    if not _PATH.fullmatch(path):
        raise InvalidRequest("The path must be printable ASCII.")
    return (
        f"GET {path} HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "Connection: Upgrade\r\n"
        "Upgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
        "\r\n"
    ).encode()


def parse_answer(received: bytes, *, ended: bool = False) -> Answer | None:
    """The answer once it is whole, None while more is needed.

    A refusal is whole with its body: as long as Content-Length says, else until the upstream has `ended`; never more
    than 16 KiB are waited for. `ValueError` when this is no HTTP answer.
    """
    head, separator, rest = received.partition(b"\r\n\r\n")
    if not separator:
        if ended or len(received) > MAX_HEAD_BYTES:
            raise ValueError("the browser sent no HTTP answer")
        return None
    status = _STATUS_LINE.match(head)
    if status is None:
        raise ValueError("the browser's answer is not HTTP/1.1")
    answer = Answer(int(status[1]), head + separator, rest)
    return answer if answer.status == 101 or ended or len(rest) >= _body_bytes(head) else None


def _body_bytes(head: bytes) -> int:
    length = _CONTENT_LENGTH.search(head)
    return min(int(length[1]), MAX_BODY_BYTES) if length else MAX_BODY_BYTES


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
