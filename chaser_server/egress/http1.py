"""HTTP/1.1 as a forward proxy needs it: heads parsed and rewritten, the end of a body found. Sans I/O: bytes in,
values out (RFC 9110, RFC 9112). Bodies pass as they are, in the coding they came in; only their end is looked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

MAX_HEAD_BYTES = 256 * 1024  # as much as Chromium takes
MAX_CHUNK_LINE_BYTES = 16 * 1024

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_AUTHORITY = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:/?#\[\]@]+))(?::(?P<port>\d*))?\Z", re.ASCII
)
_TARGET = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)")
_DEFAULT_PORTS = {"http": 80, "ws": 80}

# RFC 9110 7.6.1, with those that belong to the proxy alone (11.7) and the one browsers still send by habit.
# Transfer-Encoding is not among them because the coding passes unchanged.
_HOP_BY_HOP = frozenset(
    {"connection", "proxy-connection", "keep-alive", "te", "upgrade"}
    | {"proxy-authorization", "proxy-authenticate", "proxy-authentication-info"}
)

Headers = tuple[tuple[str, str], ...]


class BadHttp(ValueError):
    """What was read is not HTTP/1.1 that can be passed on; the message says why."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Authority:
    """Where a request wants to go, as it was spelled, without brackets or user information."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or a response's first line and header fields."""

    start: tuple[str, str, str]
    headers: Headers

    def values(self, name: str) -> list[str]:
        """All members of a comma-separated field, in lower case, over all its lines."""
        lines = (value for key, value in self.headers if key.lower() == name)
        return [member.strip().lower() for line in lines for member in line.split(",") if member.strip()]


class Request(Head):
    """`start` is method, target, version."""

    @property
    def method(self) -> str:
        return self.start[0]

    @property
    def target(self) -> str:
        return self.start[1]

    @property
    def keeps_alive(self) -> bool:
        """Whether the client will send another request on this connection (RFC 9112 9.3)."""
        asked = self.values("connection") + self.values("proxy-connection")
        return self.start[2] == "HTTP/1.1" and "close" not in asked

    @property
    def upgrades(self) -> bool:
        return "upgrade" in self.values("connection") and bool(self.values("upgrade"))


class Response(Head):
    """`start` is version, status, reason."""

    @property
    def status(self) -> int:
        return int(self.start[1])

    @property
    def is_interim(self) -> bool:
        return 100 <= self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS

    @property
    def keeps_alive(self) -> bool:
        asked = self.values("connection")
        return "close" not in asked and (self.start[0] == "HTTP/1.1" or "keep-alive" in asked)


def parse_request(head: bytes) -> Request:
    """Read a request's head, up to and with its empty line. Raises BadHttp."""
    first, headers = _split(head)
    parts = first.split(" ")
    if len(parts) != 3 or not _TOKEN.match(parts[0]) or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadHttp("The request line is not HTTP/1.1.")
    return Request((parts[0], parts[1], parts[2]), headers)


def parse_response(head: bytes) -> Response:
    """Read a response's head, up to and with its empty line. Raises BadHttp (502)."""
    try:
        first, headers = _split(head)
    except BadHttp as error:
        raise BadHttp(str(error), HTTPStatus.BAD_GATEWAY) from None
    version, _, rest = first.partition(" ")
    status, _, reason = rest.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not re.fullmatch(r"[1-9]\d\d", status):
        raise BadHttp("The answer is not HTTP/1.1.", HTTPStatus.BAD_GATEWAY)
    return Response((version, status, reason), headers)


def _split(head: bytes) -> tuple[str, Headers]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\n")
    return first.rstrip("\r"), tuple(_field(line.rstrip("\r")) for line in lines)


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # RFC 9112 5.1 and 5.2: no space before the colon, no folded lines; a bare CR or NUL could split the line elsewhere.
    if not colon or not _TOKEN.match(name) or "\r" in value or "\0" in value:
        raise BadHttp("A header field is malformed.")
    return name, value.strip(" \t")


def parse_authority(text: str, default_port: int | None = None) -> Authority:
    """Read `host:port` (RFC 9112 3.2.3), with IPv6 in brackets. Raises BadHttp."""
    match = _AUTHORITY.match(text)
    port = match["port"] if match else None
    number = int(port) if port else default_port
    if match is None or number is None or not 0 < number < 65536:
        raise BadHttp(f"{text[:200]!r} is not a host and port.")
    return Authority(match["literal"] or match["host"], number)


def split_target(target: str) -> tuple[Authority, str]:
    """Split an absolute-form target (RFC 9112 3.2.2) into where it goes and the origin-form to ask for there."""
    match = _TARGET.match(target)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _DEFAULT_PORTS:
        raise BadHttp("This is a forward proxy: send CONNECT host:port, or an absolute http:// target.")
    authority = parse_authority(match["authority"].rpartition("@")[2], _DEFAULT_PORTS[scheme])
    rest = match["rest"]
    return authority, rest if rest.startswith("/") else "/" + rest


def request_to_origin(request: Request, authority: Authority, path: str) -> bytes:
    """The request head as the origin gets it: origin-form, its own Host, no hop-by-hop field.

    No Via is added (RFC 9110 7.6.3 would have one): a session's pages shall see what a browser sends by itself.
    """
    host = str(authority) if authority.port != 80 else str(authority).removesuffix(":80")
    headers = [("Host", host), *(pair for pair in _end_to_end(request) if pair[0].lower() != "host")]
    if request.upgrades:
        headers += [("Connection", "Upgrade"), ("Upgrade", ", ".join(request.values("upgrade")))]
    elif not request.keeps_alive:
        headers += [("Connection", "close")]
    if request.method == "OPTIONS" and path == "/" and not request.target.endswith("/"):
        path = "*"  # RFC 9112 3.2.4
    return _render(f"{request.method} {path} {request.start[2]}", headers)


def response_to_client(response: Response, *, closes: bool) -> bytes:
    """The response head as the client gets it; `closes` says that the connection ends with this response."""
    headers = list(_end_to_end(response))
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        headers += [("Connection", "Upgrade"), ("Upgrade", ", ".join(response.values("upgrade")))]
    elif closes:
        headers += [("Connection", "close")]
    _, status, reason = response.start
    return _render(f"HTTP/1.1 {status} {reason}", headers)  # RFC 9110 2.5: the version is the sender's own


def _end_to_end(head: Head) -> Headers:
    dropped = _HOP_BY_HOP.union(head.values("connection"))
    return tuple(pair for pair in head.headers if pair[0].lower() not in dropped)


def _render(first: str, headers: list[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def plain_answer(status: HTTPStatus, text: str, *, closes: bool, with_body: bool = True) -> bytes:
    """A small response of the proxy's own, with the cause in words."""
    body = (text + "\n").encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    headers += [("Cache-Control", "no-store"), ("Connection", "close" if closes else "keep-alive")]
    return _render(f"HTTP/1.1 {status.value} {status.phrase}", headers) + (body if with_body else b"")


class Body(Protocol):
    """Finds the end of one message body."""

    @property
    def done(self) -> bool: ...

    def take(self, data: bytes) -> int:
        """How many of these next bytes are the body's. Raises BadHttp when the framing is broken."""


class LengthBody:
    """A body of a known length; zero for messages that have none."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        return self._left == 0

    def take(self, data: bytes) -> int:
        taken = min(self._left, len(data))
        self._left -= taken
        return taken


class UntilClose:
    """A body that ends with its connection (RFC 9112 6.3, case 8)."""

    done = False

    def take(self, data: bytes) -> int:
        return len(data)


class ChunkedBody:
    """Chunked coding (RFC 9112 7.1), walked but not decoded; trailers belong to it."""

    def __init__(self) -> None:
        self.done = False
        self._line = bytearray()
        self._chunk_left = 0
        self._in_trailers = False

    def take(self, data: bytes) -> int:
        position = 0
        while position < len(data) and not self.done:
            if self._chunk_left:
                step = min(self._chunk_left, len(data) - position)
                self._chunk_left -= step
                position += step
            else:
                position = self._take_line(data, position)
        return position

    def _take_line(self, data: bytes, start: int) -> int:
        end = data.find(b"\n", start) + 1 or len(data)
        self._line += data[start:end]
        if len(self._line) > MAX_CHUNK_LINE_BYTES:
            raise BadHttp("A line of a chunked body is too long.")
        if self._line.endswith(b"\n"):
            self._end_line(bytes(self._line).strip())
            self._line.clear()
        return end

    def _end_line(self, line: bytes) -> None:
        if self._in_trailers:
            self.done = not line
            return
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
            raise BadHttp("A chunk of the body has no size.")
        length = int(size, 16)
        self._in_trailers = length == 0
        self._chunk_left = length + 2 if length else 0


def request_body(request: Request) -> Body:
    """How the body of a request is framed (RFC 9112 6.3). Raises BadHttp where two fields contradict each other."""
    codings = request.values("transfer-encoding")
    if codings and (codings[-1] != "chunked" or request.values("content-length")):
        raise BadHttp("The length of the request's body is ambiguous.")
    return ChunkedBody() if codings else LengthBody(_content_length(request) or 0)


def response_body(response: Response, method: str) -> Body:
    """How the body of a response to `method` is framed (RFC 9112 6.3). Raises BadHttp."""
    if method == "HEAD" or response.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED) or response.is_interim:
        return LengthBody(0)
    codings = response.values("transfer-encoding")
    if codings:
        return ChunkedBody() if codings[-1] == "chunked" else UntilClose()
    length = _content_length(response)
    return UntilClose() if length is None else LengthBody(length)


def _content_length(head: Head) -> int | None:
    lengths = set(head.values("content-length"))
    if not lengths:
        return None
    text = lengths.pop()
    if lengths or not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise BadHttp("Content-Length is not one number.")
    return int(text)
