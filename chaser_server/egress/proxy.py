"""The forward proxy of one session: accepts on the socket it is given, answers CONNECT with a tunnel and absolute-form
HTTP/1.1 with an exchange. Dialling, judging and counting are its neighbours'."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import Counter

from chaser_server.egress.conversation import Conversation
from chaser_server.egress.dial import Dialer, Refused, Resolver, resolve_by_system
from chaser_server.egress.exchange import EndOfStream, Stream
from chaser_server.egress.http1 import Authority
from chaser_server.egress.ledger import Account
from chaser_server.egress.notices import Notices, OnEvent
from chaser_server.egress.policy import Policy, Rules
from chaser_server.egress.route import LOOPBACK, Route
from chaser_server.egress.tunnel import Tunnel
from chaser_server.egress.upstream import UpstreamPool
from chaser_server.egress.wire import Wire
from chaser_server.model import ByteCount, LedgerRow

_TUNNEL_BUFFER_BYTES = 256 * 1024
_ACCEPTS_PER_WAKE = 64
_MAX_WIRES = 2048  # two for a tunnel: no session takes all of the server's descriptors
_DESCRIPTORS_BACK_SECONDS = 0.2


class EgressProxy:
    """Serves one session's browser.

    `count` grows live with every byte on the outward sockets (see `wire` for what exactly that is). When up and down
    together reach `max_bytes`, everything is cut and nothing more is dialled. `upstreams` None means direct egress;
    otherwise one of them (of `region`, if given) carries everything that `bypass` does not match. `tls` is for
    https upstreams. `resolver` looks names up. `refusals` counts, by rule, what the policy did not allow; sessions may
    share it.

    `on_event` is told what belongs in the session's timeline, rate-bounded: `egress_refused` (destination, rule,
    reason), `egress_upstream` (name, region, ip), `egress_upstream_changed` (from, to, reason) and `egress_capped`
    (max_bytes).
    """

    def __init__(
        self,
        *,
        count: ByteCount,
        policy: Policy,
        on_event: OnEvent,
        upstreams: UpstreamPool | None = None,
        region: str | None = None,
        bypass: Rules = LOOPBACK,
        max_bytes: int | None = None,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = resolve_by_system,
        refusals: Counter[str] | None = None,
    ) -> None:
        self._tell = Notices(on_event).tell
        self._max_bytes = max_bytes
        self._refusals = Counter[str]() if refusals is None else refusals
        self._wires: set[Wire] = set()
        self._account = Account(count=count, max_bytes=max_bytes, on_full=self._on_full)
        self._route = Route(
            dialer=Dialer(policy=policy, resolver=resolver),
            account=self._account,
            upstreams=upstreams,
            region=region,
            bypass=bypass,
            tls=tls,
            on_event=self._tell,
            on_opened=self._wires.add,
            on_closed=self._wires.discard,
        )
        self._buffer = memoryview(bytearray(_TUNNEL_BUFFER_BYTES))
        self._listener: socket.socket | None = None
        self._is_closed = False
        self._tunnels: set[Tunnel] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def proxy_ip(self) -> str | None:
        """The address of the upstream in use, from the config or as dialled; None until it has worked, and direct."""
        return self._route.proxy_ip

    @property
    def proxy_region(self) -> str | None:
        """The region of the upstream in use; None until it has worked, and direct."""
        return self._route.proxy_region

    def ledger(self) -> list[LedgerRow]:
        """Who got the session's bytes, so far."""
        return self._account.rows()

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
        self._cut()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()
        for tunnel in list(self._tunnels):
            tunnel.abort()
        for wire in list(self._wires):
            wire.abort()

    def _on_full(self) -> None:
        """Called from within a movement of bytes, so the cut comes right behind it."""
        self._tell("egress_capped", {"max_bytes": self._max_bytes})
        asyncio.get_running_loop().call_soon(self._cut)

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTS_PER_WAKE):
            if len(self._wires) >= _MAX_WIRES:
                self._rest()
                return
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
            self._rest()

    def _rest(self) -> None:
        """Accept nobody for a moment; who wants in waits in the listener's backlog."""
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
        conversation = Conversation(Stream(wire), open_stream=self._open_stream, join=self._join)
        try:
            await conversation.run()
        except EndOfStream:
            conversation.leave(reset=False)
        except OSError:
            conversation.leave(reset=True)
        except BaseException:
            conversation.leave(reset=True)
            raise

    async def _open_stream(self, destination: Authority) -> Stream:
        try:
            return await self._route.open(destination)
        except Refused as refusal:
            self._refusals[refusal.rule] += 1
            detail: dict[str, object] = {"destination": str(destination), "rule": refusal.rule, "reason": str(refusal)}
            self._tell("egress_refused", detail)
            raise

    def _join(self, client: Stream, outward: Stream) -> None:
        tunnel = Tunnel(client.wire, outward.wire, buffer=self._buffer, on_closed=self._tunnels.discard)
        self._tunnels.add(tunnel)
        tunnel.start(early_up=client.take_ahead(), early_down=outward.take_ahead())
