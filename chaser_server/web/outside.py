"""What the server looks like from outside: the URLs it hands out, and which Origins are its own."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from chaser_server.config import ServerConfig
from chaser_server.errors import ConfigError, Forbidden

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Outside:
    """Builds URLs from `server.public_url`, else from the request; a proxy's word counts only if it is trusted."""

    def __init__(self, server: ServerConfig) -> None:
        self._public = _checked_url(server.public_url) if server.public_url else None
        self._trusted = [_network(text) for text in server.trusted_proxies]
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in server.allowed_origins)
        self._is_private = server.is_private

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
        if origin is None or (not own_only and origin.lower() in self._allowed):
            return
        if origin.lower() != self.base(request).lower():
            remedy = "" if own_only else "; the operator can add it to server.allowed_origins"
            raise Forbidden(f"Origin {origin} may not connect{remedy}")
        if self._is_private and not is_local(request.host):
            raise Forbidden(f"{request.host} is no name of this machine here; the operator can set server.public_url")

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


def is_local(host: str) -> bool:
    """Whether a Host header can only mean this machine: an IP address, `localhost` or a name under it (RFC 6761 6.3).

    Whoever owns another name may let it lead here for a while (DNS rebinding), and the pages under it are theirs.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


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
