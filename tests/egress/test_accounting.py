"""The count equals, to the byte and per direction, what the origin's own socket had: for any order of sends, stalls,
half-closes and resets. The origin here is a bare socket, so that what its TCP got and gave can be asked at any time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import socket
import sys
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaser_server.egress.http1 import ChunkedBody
from chaser_server.model import ByteCount
from tests.egress.peers import Bench, Client, OriginSide, egress, listening_socket, origin, until

SIOCOUTQNSD = 0x894B
SIZES = st.one_of(st.integers(1, 2000), st.integers(60_000, 70_000), st.integers(200_000, 3_000_000))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("client_sends"), SIZES),
        st.tuples(st.just("origin_sends"), SIZES),
        st.tuples(st.just("client_reads"), SIZES),
        st.tuples(st.just("origin_reads"), SIZES),
        st.tuples(st.just("client_half_closes"), st.just(0)),
        st.tuples(st.just("origin_half_closes"), st.just(0)),
    ),
    max_size=12,
)
ENDINGS = st.sampled_from(
    ["client_resets", "client_closes", "origin_resets", "origin_closes", "session_ends", "in_order"]
)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ioctl_int(sock: socket.socket, request: int) -> int:
    return int.from_bytes(fcntl.ioctl(sock.fileno(), request, b"\0" * 4), sys.byteorder)


class End:
    """One end of the tunnel, driven without waiting: what does not fit now is not sent."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else quiet may only be Nagle waiting
        self.sock = sock
        self.sent = 0
        self.read = 0
        self.has_ended = False
        self._unread_at_close = 0
        self._unsent_at_close = 0

    def send(self, amount: int) -> None:
        while amount > 0 and not self.has_ended:
            try:
                sent = self.sock.send(bytes(min(amount, 65536)))
            except OSError:
                return
            self.sent += sent
            amount -= sent

    def receive(self, amount: int) -> bool:
        """Whether the other side's end, or a reset, was seen."""
        while amount > 0:
            try:
                got = len(self.sock.recv(min(amount, 65536)))
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not got:
                return True
            self.read += got
            amount -= got
        return False

    def half_close(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool) -> None:
        self._unread_at_close, self._unsent_at_close = self._unread(), self._unsent()
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def _unread(self) -> int:
        return self._unread_at_close if self.sock.fileno() < 0 else ioctl_int(self.sock, termios.FIONREAD)

    def _unsent(self) -> int:
        if self.sock.fileno() < 0:
            return self._unsent_at_close
        unsent = ioctl_int(self.sock, SIOCOUTQNSD)
        return unsent - 1 if unsent and self.has_ended else unsent  # the FIN waits there too

    @property
    def got(self) -> int:
        """What this side's TCP has received."""
        return self.read + self._unread()

    @property
    def gave(self) -> int:
        """What this side's TCP has put on the network."""
        return self.sent - self._unsent()


@dataclass
class Pair:
    """Both ends of one tunnel through a proxy at work."""

    here: Bench
    client: End
    there: End

    def numbers(self) -> tuple[int, ...]:
        return self.there.got, self.there.gave, self.here.count.up, self.here.count.down, self.client.got

    async def quiet(self) -> None:
        """Wait until nothing moves any more; for longer while bytes are still on their way to the other count."""
        seen, times = None, 0
        while times < (4 if self.agrees() else 100):
            await asyncio.sleep(0.004)
            times = times + 1 if seen == self.numbers() else 0
            seen = self.numbers()

    def agrees(self) -> bool:
        return (self.here.count.up, self.here.count.down) == (self.there.got, self.there.gave)


@contextlib.asynccontextmanager
async def tunnel() -> AsyncIterator[Pair]:
    async with egress() as here:
        with listening_socket() as listener:
            listener.setblocking(False)
            client = await Client.to(here.port)
            await client.connect(f"127.0.0.1:{listener.getsockname()[1]}")
            there, _ = await asyncio.get_running_loop().sock_accept(listener)
        pair = Pair(here, End(client.sock), End(there))
        try:
            yield pair
        finally:
            client.close()
            there.close()


async def play(steps: list[tuple[str, int]], ending: str) -> None:
    async with tunnel() as pair:
        client, there, before = pair.client, pair.there, ByteCount()
        moves = {
            "client_sends": client.send,
            "origin_sends": there.send,
            "client_reads": client.receive,
            "origin_reads": there.receive,
            "client_half_closes": lambda _: client.half_close(),
            "origin_half_closes": lambda _: there.half_close(),
        }
        for name, amount in steps:
            moves[name](amount)
            await asyncio.sleep(0)
            count = pair.here.count
            assert (count.up, count.down) >= (before.up, before.down)
            assert count.up >= before.up
            assert count.down >= before.down
            before = ByteCount(count.up, count.down)
        await finish(pair, ending)
        count = pair.here.count
        assert (count.up, count.down) == (there.got, there.gave)
        assert count.up >= before.up
        assert count.down >= before.down
        [row] = pair.here.proxy.ledger()
        assert (row.up, row.down) == (count.up, count.down)


async def finish(pair: Pair, ending: str) -> None:
    client, there = pair.client, pair.there
    if ending in ("origin_resets", "origin_closes"):
        await pair.quiet()  # bytes that were on their way when the origin closed reached nobody's socket
        there.close(reset=ending == "origin_resets")
    elif ending in ("client_resets", "client_closes"):
        client.close(reset=ending == "client_resets")
    elif ending == "in_order":
        await drain(pair)
        assert (there.got, there.gave) == (client.sent, there.sent)
        assert client.got == there.sent
        return
    if ending in ("origin_closes", "client_closes"):
        await pair.quiet()  # a close in order leaves the other way open; the session's end cuts it
    await pair.here.proxy.close()


async def drain(pair: Pair) -> None:
    """Both ends send what they have, close their way, and read to the other's end."""
    client, there = pair.client, pair.there
    client.half_close()
    there.half_close()
    client_done = there_done = False
    async with asyncio.timeout(20):
        while not (client_done and there_done):
            client_done = client_done or client.receive(1 << 20)
            there_done = there_done or there.receive(1 << 20)
            await asyncio.sleep(0.001)
    await until(lambda: not pair.here.proxy._wires)


@PROPERTY
@given(steps=STEPS, ending=ENDINGS)
def test_the_count_is_the_origins_own_for_any_tunnel_on_uvloop(steps, ending):
    uvloop.run(play(steps, ending))


@PROPERTY
@given(steps=STEPS, ending=ENDINGS)
def test_the_count_is_the_origins_own_for_any_tunnel_on_asyncio(steps, ending):
    asyncio.run(play(steps, ending))


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "HEAD", "POST"]),
        st.sampled_from(["length", "chunked"]),
        st.integers(0, 300_000),
        st.sampled_from(["length", "chunked", "until_close", "none"]),
        st.integers(0, 300_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def framed(kind: str, size: int) -> tuple[str, bytes]:
    """A header field and a body."""
    if kind == "chunked":
        chunks = f"{size:x};e=1\r\n".encode() + bytes(size) + b"\r\n" if size else b""
        return "Transfer-Encoding: chunked\r\n", chunks + b"0\r\nT: 1\r\n\r\n"
    return f"Content-Length: {size}\r\n" if kind == "length" else "", bytes(size)


async def converse(requests: list[tuple[str, str, int, str, int, bool]]) -> None:
    script = iter(requests)

    async def answer(side: OriginSide) -> None:
        for method, up_kind, up_size, down_kind, down_size, origin_closes in script:
            await side.read_until(b"\r\n\r\n")
            if method == "POST":
                await side.read_exactly(len(framed(up_kind, up_size)[1]))
            field, body = framed(down_kind, down_size)
            close = "Connection: close\r\n" if origin_closes else ""
            status = "204 No Content" if down_kind == "none" else "200 OK"
            has_body = method != "HEAD" and down_kind != "none"
            await side.write(f"HTTP/1.1 {status}\r\n{field}{close}\r\n".encode() + (body if has_body else b""))
            if origin_closes or down_kind == "until_close":
                return

    async with origin(answer) as there, egress() as here:
        client: Client | None = None
        for method, up_kind, up_size, down_kind, down_size, _ in requests:
            client = client or await Client.to(here.port)
            field, body = framed(up_kind, up_size) if method == "POST" else ("", b"")
            head = f"{method} http://127.0.0.1:{there.port}/ HTTP/1.1\r\n{field}\r\n".encode()
            sending = asyncio.create_task(client.send(head + body))
            await client.read_until(b"\r\n\r\n")
            if down_kind == "until_close":
                expected = 0 if method == "HEAD" else down_size
                if method != "HEAD":
                    assert len(await client.read_to_end()) == expected
                client.close()
                client = None
            elif method != "HEAD" and down_kind != "none":
                expected = len(framed(down_kind, down_size)[1])
                assert len(await client.read_exactly(expected)) == expected
            await sending
        if client:
            client.close()
        await until(lambda: (here.count.up, here.count.down) == (there.got, there.gave))


@PROPERTY
@given(requests=REQUESTS)
def test_the_count_is_the_origins_own_for_any_plain_http(requests):
    uvloop.run(converse(requests))


@given(
    sizes=st.lists(st.integers(1, 5000), max_size=5),
    cuts=st.lists(st.integers(0, 20_000), max_size=8),
    behind=st.binary(max_size=40),
)
def test_the_end_of_a_chunked_body_is_found_however_it_is_cut(sizes, cuts, behind):
    body = b"".join(f"{size:X} ; a=b\r\n".encode() + b"\n" * size + b"\r\n" for size in sizes) + b"0\r\nA: b\r\n\r\n"
    data, marks = body + behind, sorted({0, *cuts, len(body) + len(behind)})
    walker, taken = ChunkedBody(), 0
    for start, end in itertools.pairwise(marks):
        piece = data[start:end]
        step = walker.take(piece)
        taken += step
        if walker.done:
            break
        assert step == len(piece)
    assert walker.done
    assert taken == len(body)


async def test_what_the_kernel_still_holds_at_the_close_is_counted_when_it_leaves(client_to):
    """The last bytes of an upload to a slow origin go out after both sides have said goodbye."""
    async with tunnel() as pair:
        pair.there.half_close()
        pair.client.send(30_000_000)
        pair.client.half_close()
        for _ in range(5):
            await pair.quiet()
            assert pair.agrees()
            pair.there.receive(300_000)
        await drain(pair)
        assert pair.here.count.up == pair.there.read == pair.client.sent > 1_000_000


async def test_a_stalled_origin_stops_the_count_where_its_window_is_full():
    async with tunnel() as pair:
        pair.client.send(50_000_000)
        await pair.quiet()
        pair.client.send(50_000_000)
        await pair.quiet()
        assert pair.agrees()
        assert pair.here.count.up < pair.client.sent < 50_000_000
