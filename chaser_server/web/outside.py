"""What the server looks like from outside: the URLs it hands out, and which Origins are its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from chaser_server.errors import ConfigError, Forbidden

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Outside:
    """Builds URLs from `server.public_url`, else from the request; a proxy's word counts only if it is trusted."""

    def __init__(self, *, public_url: str, trusted_proxies: Sequence[str], allowed_origins: Sequence[str]) -> None:
        self._public = _checked_url(public_url) if public_url else None
        self._trusted = [_network(text) for text in trusted_proxies]
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    def base(self, request: web.BaseRequest, scheme: str = "http") -> str:
        """`scheme://host` without a trailing slash; `scheme` `http` or `ws` becomes its secure form when outside is."""
        outer_scheme, host = self._outer(request)
        return f"{scheme}s://{host}" if outer_scheme in ("https", "wss") else f"{scheme}://{host}"

    def cdp_url(self, request: web.BaseRequest, session_id: str) -> str:
        """Where a CDP client connects."""
        return f"{self.base(request, 'ws')}/sessions/{session_id}"

    def check_origin(self, request: web.BaseRequest, *, own_only: bool = False) -> None:
        """Raise `Forbidden` for a request from a web page that is neither our own nor allowed (RFC 6454 7)."""
        origin = request.headers.get("Origin")
        if origin is None:
            return
        allowed = frozenset[str]() if own_only else self._allowed
        if origin.lower() not in allowed | {self.base(request).lower()}:
            raise Forbidden(f"Origin {origin} may not connect; the operator can add it to server.allowed_origins")

    def _outer(self, request: web.BaseRequest) -> tuple[str, str]:
        if self._public is not None:
            return self._public
        scheme, host = request.scheme, request.host
        if self._is_trusted(request.remote):
            scheme = _first(request.headers.get("X-Forwarded-Proto")) or scheme
            host = _first(request.headers.get("X-Forwarded-Host")) or host
        return scheme.lower(), host

    def _is_trusted(self, remote: str | None) -> bool:
        if not self._trusted or not remote:
            return False
        try:
            address = ipaddress.ip_address(remote)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _first(header: str | None) -> str:
    """The value the outermost proxy wrote."""
    return (header or "").split(",")[0].strip()


def _checked_url(text: str) -> tuple[str, str]:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise ConfigError(f"server.public_url must be http(s)://host[:port] without a path, not {text!r}")
    return parts.scheme, parts.netloc


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(f"server.trusted_proxies: {text!r} is no IP address or network") from error
