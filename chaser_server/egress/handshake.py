"""Ask an upstream proxy for a tunnel: HTTP CONNECT (RFC 9110 9.3.6) or SOCKS5 (RFC 1928, RFC 1929), over a stream that
counts. What the upstream says of the destination and what it says of us are told apart."""

from __future__ import annotations

import base64
import ipaddress
from http import HTTPStatus

from chaser_server.egress.exchange import EndOfStream, Stream
from chaser_server.egress.http1 import Authority, BadHttp, parse_response
from chaser_server.egress.upstream import Upstream

_NO_AUTHENTICATION, _USERNAME_PASSWORD = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
# tinyproxy says 401 to wrong credentials; on a CONNECT that can only be about the proxy's.
_CREDENTIALS_TURNED_DOWN = (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.UNAUTHORIZED)
_SOCKS_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class UpstreamFailed(Exception):
    """The upstream itself cannot be used; the message says why, and holds no credentials."""


class DestinationFailed(Exception):
    """The upstream works, but could or would not reach the destination."""


async def ask_for_tunnel(stream: Stream, upstream: Upstream, destination: Authority) -> None:
    """Afterwards the stream is the destination's. Raises UpstreamFailed, DestinationFailed and OSError."""
    ask = _ask_socks5 if upstream.scheme == "socks5" else _ask_http
    try:
        await ask(stream, upstream, destination)
    except EndOfStream:
        raise UpstreamFailed("it closed the connection in the middle of the handshake") from None


async def _ask_http(stream: Stream, upstream: Upstream, destination: Authority) -> None:
    lines = [f"CONNECT {destination} HTTP/1.1", f"Host: {destination}"]
    if upstream.username is not None:
        pair = f"{upstream.username}:{upstream.password}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")  # RFC 7617 2
    await stream.wire.write("\r\n".join([*lines, "", ""]).encode())
    try:
        while (response := parse_response(await stream.read_head())).is_interim:
            pass
    except BadHttp:
        raise UpstreamFailed("it does not speak HTTP/1.1") from None
    if response.status in _CREDENTIALS_TURNED_DOWN:
        raise UpstreamFailed(f"it turned the credentials down ({response.status})")
    if not 200 <= response.status < 300:
        raise DestinationFailed(f"answered {response.status} {response.start[2]}".rstrip())


async def _ask_socks5(stream: Stream, upstream: Upstream, destination: Authority) -> None:
    has_credentials = upstream.username is not None
    await stream.wire.write(bytes([5, 2, 0, 2]) if has_credentials else bytes([5, 1, 0]))
    version, method = await stream.read_exactly(2)
    if version != 5:
        raise UpstreamFailed("it does not speak SOCKS5")
    if method == _USERNAME_PASSWORD and has_credentials:
        await _show_credentials(stream, upstream)
    elif method != _NO_AUTHENTICATION:
        raise UpstreamFailed("it takes none of our ways to authenticate")
    await stream.wire.write(b"\x05\x01\x00" + _socks_address(destination))
    _, reply, _, kind = await stream.read_exactly(4)
    if reply != 0:
        raise DestinationFailed(_SOCKS_REPLIES.get(reply, f"answered with code {reply}"))
    length = {_IPV4: 4, _IPV6: 16}.get(kind)
    if length is None:
        length = (await stream.read_exactly(1))[0]
    await stream.read_exactly(length + 2)


async def _show_credentials(stream: Stream, upstream: Upstream) -> None:
    username, password = (upstream.username or "").encode(), upstream.password.encode()
    await stream.wire.write(bytes([1, len(username)]) + username + bytes([len(password)]) + password)
    _, status = await stream.read_exactly(2)
    if status != 0:
        raise UpstreamFailed("it turned the credentials down")


def _socks_address(destination: Authority) -> bytes:
    port = destination.port.to_bytes(2, "big")
    try:
        address = ipaddress.ip_address(destination.host)
    except ValueError:
        name = destination.host.encode("idna")
        return bytes([_NAME, len(name)]) + name + port
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed + port
