"""The forward proxy of one session: accepts on the socket it is given, answers CONNECT with a tunnel and absolute-form
HTTP/1.1 with an exchange. Dialling, judging and counting are its neighbours'."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from http import HTTPStatus

from chaser_server.egress.dial import Dialer, DialError, Refused, Resolver, resolve_by_system
from chaser_server.egress.exchange import EndOfStream, Exchange, Stream
from chaser_server.egress.http1 import (
    Authority,
    BadHttp,
    Request,
    parse_authority,
    parse_request,
    plain_answer,
    request_body,
    request_to_origin,
    split_target,
)
from chaser_server.egress.policy import Policy
from chaser_server.egress.tunnel import Tunnel
from chaser_server.egress.wire import OutwardWire, Wire
from chaser_server.model import ByteCount

OnEvent = Callable[[str, dict[str, object]], None]

_TUNNEL_BUFFER_BYTES = 256 * 1024
_ACCEPTS_PER_WAKE = 64
_DESCRIPTORS_BACK_SECONDS = 0.2
_DRAIN_SECONDS = 2.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class _CountMeter:
    """Adds what an outward wire moves to the session's count."""

    def __init__(self, count: ByteCount) -> None:
        self._count = count

    def sent(self, amount: int) -> None:
        self._count.up += amount

    def received(self, amount: int) -> None:
        self._count.down += amount


class EgressProxy:
    """Serves one session's browser.

    `count` grows live with every byte on the outward sockets (see `wire` for what exactly that is). `on_event` is told
    what belongs in the session's timeline. `resolver` looks names up.
    """

    def __init__(
        self,
        *,
        count: ByteCount,
        policy: Policy,
        on_event: OnEvent,
        resolver: Resolver = resolve_by_system,
    ) -> None:
        self._meter = _CountMeter(count)
        self._on_event = on_event
        self._dialer = Dialer(policy=policy, resolver=resolver)
        self._buffer = memoryview(bytearray(_TUNNEL_BUFFER_BYTES))
        self._listener: socket.socket | None = None
        self._is_closed = False
        self._wires: set[Wire] = set()
        self._tunnels: set[Tunnel] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Serve this listening TCP socket, which is owned from here on (closed at once if the proxy is closed)."""
        if self._is_closed:
            listener.close()
            return
        listener.setblocking(False)
        self._listener = listener
        self._listen()

    async def close(self) -> None:
        """Cut every connection at once and close the listener. No byte moves after it returns. Idempotent."""
        self._is_closed = True
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for tunnel in list(self._tunnels):
            tunnel.abort()
        for wire in list(self._wires):
            wire.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTS_PER_WAKE):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._pause_accepting(error)
                return
            self._adopt(sock)

    def _pause_accepting(self, error: OSError) -> None:
        """Without descriptors the listener would stay readable and the loop would spin."""
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            assert self._listener is not None
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener.fileno())
            loop.call_later(_DESCRIPTORS_BACK_SECONDS, self._listen)

    def _adopt(self, sock: socket.socket) -> None:
        wire = Wire(sock, on_closed=self._wires.discard)
        self._wires.add(wire)
        task = asyncio.create_task(self._serve(wire), name="egress-client")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, wire: Wire) -> None:
        conversation = _Conversation(self, Stream(wire))
        try:
            await conversation.run()
        except EndOfStream:
            conversation.leave(Wire.close)
        except OSError:
            conversation.leave(Wire.abort)
        except BaseException:
            conversation.leave(Wire.abort)
            raise

    async def dial(self, authority: Authority) -> OutwardWire:
        """A counted connection. Raises DialError, after saying a refusal in the session's events."""
        try:
            sock = await self._dialer.dial(authority.host, authority.port)
        except Refused as refusal:
            self._on_event(
                "egress_refused", {"destination": str(authority), "rule": refusal.rule, "reason": str(refusal)}
            )
            raise
        wire = OutwardWire(sock, meter=self._meter, on_closed=self._wires.discard)
        self._wires.add(wire)
        return wire

    def join(self, client: Stream, outward: Stream) -> None:
        """Let a tunnel have both wires."""
        tunnel = Tunnel(client.wire, outward.wire, buffer=self._buffer, on_closed=self._tunnels.discard)
        self._tunnels.add(tunnel)
        tunnel.start(early_up=client.take_ahead(), early_down=outward.take_ahead())


class _Conversation:
    """What one client connection asks for, request after request, and the origin connection it keeps meanwhile."""

    def __init__(self, proxy: EgressProxy, client: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._origin: Stream | None = None
        self._origin_authority: Authority | None = None
        self._is_tunnel = False

    def leave(self, how: Callable[[Wire], None]) -> None:
        """Close what is still ours."""
        if not self._is_tunnel:
            how(self._client.wire)
            self._drop_origin(how)

    async def run(self) -> None:
        """Serve until a tunnel has taken over or the client is done. Raises OSError and EndOfStream."""
        goes_on = True
        while goes_on:
            try:
                request = parse_request(await self._client.read_head())
                goes_on = await self._answer(request)
            except BadHttp as error:
                await self._say(error.status, str(error), closes=True)
                goes_on = False
        self.leave(Wire.close)

    async def _answer(self, request: Request) -> bool:
        """Serve one request; whether another may follow on this connection."""
        if request.method == "CONNECT":
            return await self._connect(request)
        authority, path = split_target(request.target)
        head = request_to_origin(request, authority, path)
        try:
            origin, is_reused = await self._origin_for(authority)
        except DialError as error:
            return await self._decline(error, request)
        return await self._exchange(request, head, origin, is_reused=is_reused)

    async def _connect(self, request: Request) -> bool:
        try:
            outward = await self._proxy.dial(parse_authority(request.target))
        except DialError as error:
            return await self._decline(error, request)
        self._origin = Stream(outward)
        await self._client.wire.write(_ESTABLISHED)
        self._is_tunnel = True
        self._proxy.join(self._client, self._origin)
        return False

    async def _origin_for(self, authority: Authority) -> tuple[Stream, bool]:
        if self._origin is not None and self._origin_authority == authority and _is_idle(self._origin.wire):
            return self._origin, True
        self._drop_origin(Wire.close)
        self._origin = Stream(await self._proxy.dial(authority))
        self._origin_authority = authority
        return self._origin, False

    async def _exchange(self, request: Request, head: bytes, origin: Stream, *, is_reused: bool) -> bool:
        exchange = Exchange(self._client, origin, request)
        try:
            outcome = await exchange.run(head)
        except (OSError, EndOfStream, BadHttp) as error:
            # On a reused connection the origin may just have stopped waiting; the browser then does what it would do
            # on its own connection, which is to send the request again.
            if exchange.has_answered or is_reused or self._client.wire.is_closed:
                raise ConnectionAbortedError from error
            self._drop_origin(Wire.abort)
            await self._say(HTTPStatus.BAD_GATEWAY, _failure(error, self._origin_authority), closes=True)
            return False
        if outcome.is_upgraded:
            self._is_tunnel = True
            self._proxy.join(self._client, origin)
            return False
        if not outcome.origin_stays:
            self._drop_origin(Wire.close)
        return outcome.client_stays

    async def _decline(self, error: DialError, request: Request) -> bool:
        """Tell why; the connection goes on unless a body is under way that nobody wants."""
        goes_on = request.method != "CONNECT" and request.keeps_alive and request_body(request).done
        await self._say(error.status, str(error), closes=not goes_on, with_body=request.method != "HEAD")
        return goes_on

    async def _say(self, status: HTTPStatus, text: str, *, closes: bool, with_body: bool = True) -> None:
        await self._client.wire.write(plain_answer(status, text, closes=closes, with_body=with_body))
        if closes:
            await self._drain()

    async def _drain(self) -> None:
        """Read what still comes, for a while: closing on unread bytes would reset the answer away (RFC 9112 9.6)."""
        self._client.wire.end_writing()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._client.wire.read():
                    pass
        except TimeoutError:
            pass

    def _drop_origin(self, how: Callable[[Wire], None]) -> None:
        origin, self._origin = self._origin, None
        if origin is not None:
            how(origin.wire)


def _is_idle(wire: Wire) -> bool:
    """Whether a kept connection is still open with nothing said on it."""
    if wire.is_closed:
        return False
    try:
        wire.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _failure(error: Exception, authority: Authority | None) -> str:
    if isinstance(error, EndOfStream):
        return f"{authority} closed the connection without an answer."
    if isinstance(error, BadHttp):
        return f"{authority} did not answer in HTTP/1.1: {error}"
    return f"{authority} broke the connection: {error}."
