"""The way from a session to a destination: direct, or through the upstream the session keeps. Opens counted streams;
knows nothing of what is asked for on them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus

from chaser_server.egress.dial import Dialer, DialError, Refused, connect
from chaser_server.egress.exchange import Stream
from chaser_server.egress.handshake import DestinationFailed, UpstreamFailed, ask_for_tunnel
from chaser_server.egress.http1 import Authority
from chaser_server.egress.ledger import Account
from chaser_server.egress.notices import OnEvent
from chaser_server.egress.policy import Refusal, Rules, faces_of, literal_address, normal_host
from chaser_server.egress.tls import TlsWire
from chaser_server.egress.upstream import Upstream, UpstreamPool
from chaser_server.egress.wire import Meter, OutwardWire, Wire

LOOPBACK = Rules.parse(["localhost", "*.localhost", "127.0.0.0/8", "::1"])

_HANDSHAKE_SECONDS = 30.0
_ATTEMPTS = 4
_ADDRESSES_PER_NAME = 2


class Route:
    """One session's way out.

    `upstreams` None means direct. Otherwise the session takes one by weight (of `region`, if given) at its first
    connection and keeps it; when it has been set aside, new connections move to another, and `on_event` is told.
    Destinations that match `bypass` are dialled directly. Every wire is given to `on_opened`, and to `on_closed` when
    it is gone.
    """

    def __init__(
        self,
        *,
        dialer: Dialer,
        account: Account,
        upstreams: UpstreamPool | None,
        region: str | None,
        bypass: Rules,
        tls: ssl.SSLContext | None,
        on_event: OnEvent,
        on_opened: Callable[[Wire], None],
        on_closed: Callable[[Wire], None],
    ) -> None:
        self._dialer = dialer
        self._account = account
        self._upstreams = upstreams
        self._region = region
        self._bypass = bypass
        self._tls = tls
        self._on_event = on_event
        self._on_opened = on_opened
        self._on_closed = on_closed
        self._upstream: Upstream | None = None
        self._last_failure = ""
        self.proxy_ip: str | None = None
        """The address of the upstream in use, from the config or as it was dialled; None until it has worked."""

    @property
    def proxy_region(self) -> str | None:
        """The region of the upstream in use; None until it has worked."""
        return self._upstream.region if self._upstream and self.proxy_ip else None

    async def open(self, destination: Authority) -> Stream:
        """A stream whose other end is the destination. Raises DialError; no connection is left behind then."""
        if self._account.is_full:
            raise Refused(Refusal("max_egress_bytes", "This session has used up its max_egress_bytes."))
        if self._upstreams is None or self._is_bypassed(destination):
            return await self._open_directly(destination)
        for _ in range(_ATTEMPTS):
            upstream = self._choose(self._upstreams)
            try:
                return await self._open_through(upstream, destination)
            except UpstreamFailed as error:
                self._note_failure(self._upstreams, upstream, str(error))
            except TimeoutError:
                self._note_failure(self._upstreams, upstream, "it did not answer in time")
                break
        status = HTTPStatus.BAD_GATEWAY
        raise DialError(status, f"The upstream proxy {upstream.name} cannot be used: {self._last_failure}.")

    def _is_bypassed(self, destination: Authority) -> bool:
        literal = literal_address(destination.host)
        faces = faces_of(literal) if literal else ()
        return self._bypass.match(normal_host(destination.host), destination.port, faces)

    async def _open_directly(self, destination: Authority) -> Stream:
        sock = await self._dialer.dial(destination.host, destination.port)
        return Stream(self._adopt(OutwardWire(sock, meter=self._meter(destination, None), on_closed=self._on_closed)))

    def _choose(self, pool: UpstreamPool) -> Upstream:
        """The upstream in use, or another when it is set aside. Raises DialError."""
        current = self._upstream
        if current is not None and not pool.is_aside(current):
            return current
        chosen = pool.pick(self._region)
        if chosen is None:
            raise DialError(HTTPStatus.BAD_GATEWAY, f"There is no upstream proxy in region {self._region}.")
        if chosen != current:
            self._move_to(chosen)
        return chosen

    def _move_to(self, chosen: Upstream) -> None:
        before, self._upstream, self.proxy_ip = self._upstream, chosen, None
        if before is not None:
            detail: dict[str, object] = {"from": before.name, "to": chosen.name, "reason": self._last_failure}
            self._on_event("egress_upstream_changed", detail)

    def _note_failure(self, pool: UpstreamPool, upstream: Upstream, reason: str) -> None:
        pool.failed(upstream)
        self._last_failure = reason

    async def _open_through(self, upstream: Upstream, destination: Authority) -> Stream:
        """Raises UpstreamFailed, TimeoutError and DialError."""
        failure = ""
        for target in await self._targets(upstream, destination):
            try:
                return await self._tunnel(upstream, destination, target)
            except DestinationFailed as error:
                failure = str(error)
        text = f"{destination} cannot be reached through the upstream proxy {upstream.name}: {failure}."
        raise DialError(HTTPStatus.BAD_GATEWAY, text)

    async def _targets(self, upstream: Upstream, destination: Authority) -> list[Authority]:
        """What the upstream is asked for: addresses that were judged, or the name where it shall look it up."""
        if upstream.remote_dns and literal_address(destination.host) is None:
            self._dialer.check_name(destination.host, destination.port)
            return [destination]
        addresses = await self._dialer.allowed_addresses(destination.host, destination.port)
        addresses.sort(key=lambda address: address.version)  # an upstream without IPv6 is the common case
        return [Authority(str(address), destination.port) for address in addresses[:_ADDRESSES_PER_NAME]]

    async def _tunnel(self, upstream: Upstream, destination: Authority, target: Authority) -> Stream:
        """Raises UpstreamFailed, DestinationFailed and TimeoutError."""
        wire = await self._connect(upstream, destination)
        stream = Stream(wire)
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                if isinstance(wire, TlsWire):
                    await wire.handshake()
                await ask_for_tunnel(stream, upstream, target)
        except BaseException as error:
            wire.abort()
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise UpstreamFailed(f"it broke the handshake off ({error.strerror or error})") from None
            raise
        self._has_worked(upstream, wire)
        return stream

    async def _connect(self, upstream: Upstream, destination: Authority) -> OutwardWire:
        try:
            addresses = await self._dialer.resolve(upstream.host)
            sock = await connect("it", upstream.port, addresses)
        except DialError as error:
            raise UpstreamFailed(str(error).rstrip(".")) from None
        meter = self._meter(destination, upstream.name)
        if upstream.scheme != "https":
            return self._adopt(OutwardWire(sock, meter=meter, on_closed=self._on_closed))
        self._tls = self._tls or ssl.create_default_context()
        return self._adopt(
            TlsWire(sock, meter=meter, on_closed=self._on_closed, context=self._tls, server_hostname=upstream.host)
        )

    def _has_worked(self, upstream: Upstream, wire: OutwardWire) -> None:
        assert self._upstreams is not None
        self._upstreams.worked(upstream)
        if upstream == self._upstream and self.proxy_ip is None:
            self.proxy_ip = str(upstream.ip or wire.sock.getpeername()[0])
            detail: dict[str, object] = {"name": upstream.name, "region": upstream.region, "ip": self.proxy_ip}
            self._on_event("egress_upstream", detail)

    def _meter(self, destination: Authority, upstream: str | None) -> Meter:
        return self._account.open(normal_host(destination.host), upstream)

    def _adopt(self, wire: OutwardWire) -> OutwardWire:
        self._on_opened(wire)
        return wire
