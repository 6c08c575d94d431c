"""An outward wire inside TLS, for upstream proxies that are reached by https. The count stays what the socket moves,
which is what the upstream's socket sees: the records, not the plain text."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from chaser_server.egress.wire import Meter, OutwardWire, Wire

_MAX_RECORD_BYTES = 17 * 1024  # RFC 8446 5.2: 2^14 + 256, and the header
_WRITE_BYTES = 64 * 1024


class TlsWire(OutwardWire):
    """Like its parent, with plain text on this side. `handshake` comes first. Buffers to receive into must be larger
    than two records."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        meter: Meter,
        on_closed: Callable[[Wire], None],
        context: ssl.SSLContext,
        server_hostname: str,
    ) -> None:
        super().__init__(sock, meter=meter, on_closed=on_closed)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._backlog = b""

    @property
    def has_backlog(self) -> bool:  # type: ignore[override]
        return bool(self._backlog or self._outgoing.pending)

    async def handshake(self) -> None:
        """Raises ssl.SSLError (an OSError) when the peer cannot be trusted or does not speak TLS, and OSError."""
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                await super().write(b"")
                await self._read_records()
            finally:
                await super().write(b"")

    async def _read_records(self) -> None:
        while True:
            try:
                self._take_records(_MAX_RECORD_BYTES)
                return
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)

    def receive_into(self, buffer: memoryview) -> int:
        amount = self._decrypt_into(buffer)
        while amount == 0 and not self._incoming.eof:
            # So much that what a piece of a record left here and this hold together still fits into the buffer:
            # nothing may stay behind in here, because the socket would not become readable for it.
            self._take_records(len(buffer) - _MAX_RECORD_BYTES)
            amount = self._decrypt_into(buffer)
        return amount

    def _take_records(self, limit: int) -> None:
        data = bytearray(limit)
        amount = super().receive_into(memoryview(data))
        if amount:
            self._incoming.write(memoryview(data)[:amount])
        else:
            self._incoming.write_eof()

    def _decrypt_into(self, buffer: memoryview) -> int:
        total = 0
        while total < len(buffer):
            try:
                amount = self._tls.read(len(buffer) - total, buffer[total:])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self._incoming.write_eof()
                break
            if not amount:
                break
            total += int(amount)
        return total

    def send(self, data: bytes | memoryview) -> int:
        self._flush()
        if self.has_backlog:
            raise BlockingIOError
        taken = self._tls.write(data[:_WRITE_BYTES]) if data else 0
        self._flush()
        return taken

    def _flush(self) -> None:
        self._backlog += self._outgoing.read()
        try:
            while self._backlog:
                self._backlog = self._backlog[super().send(self._backlog) :]
        except BlockingIOError:
            pass

    def end_writing(self) -> None:
        """RFC 8446 6.1: a close_notify ends our direction only."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # it wants the peer's close_notify, which comes when the peer is done
            pass
        self._flush()
        super().end_writing()
