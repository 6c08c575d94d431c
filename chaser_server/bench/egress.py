"""What the egress proxy costs: CPU per GB of tunnel, throughput against a direct connection, memory of idle tunnels.

Origin, proxy and client are three processes that talk over loopback with plain sockets, so that the proxy's CPU time
and memory are its own. `python -m chaser_server.bench.egress` prints the table; `run` returns its rows.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from chaser_server.egress.policy import Policy
from chaser_server.egress.proxy import EgressProxy
from chaser_server.model import ByteCount

GIGABYTE = 1_000_000_000
IDLE_TUNNELS = 500
DOWNLOAD_CPU = "tunnel download, CPU of the proxy"
UPLOAD_CPU = "tunnel upload, CPU of the proxy"
IDLE_MEMORY = f"memory of {IDLE_TUNNELS} idle tunnels"
_BLOCK = bytes(256 * 1024)
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"| {self.name} | {self.value:.2f} {self.unit} |"


def measure(*, amount: int = GIGABYTE, rounds: int = 3) -> list[Row]:
    """Measure with `amount` bytes per transfer, medians of `rounds`; takes some seconds per round."""
    with _process(_serve_origin) as (origin_port, _), _process(_serve_proxy) as (proxy_port, proxy):
        down = [_measure(download, origin_port, proxy_port, proxy, amount) for _ in range(rounds)]
        up = [_measure(upload, origin_port, proxy_port, proxy, amount) for _ in range(rounds)]
        idle = _idle_megabytes(origin_port, proxy_port, proxy)
    return [
        Row(DOWNLOAD_CPU, statistics.median(cpu for cpu, _ in down), "s/GB"),
        Row(UPLOAD_CPU, statistics.median(cpu for cpu, _ in up), "s/GB"),
        Row("download throughput, proxied / direct", statistics.median(ratio for _, ratio in down), "x"),
        Row("upload throughput, proxied / direct", statistics.median(ratio for _, ratio in up), "x"),
        Row(IDLE_MEMORY, idle, "MB"),
    ]


Transfer = Callable[[socket.socket, int], None]


def download(sock: socket.socket, amount: int) -> None:
    """Have the origin send `amount` bytes and read them."""
    sock.sendall(b"d" + amount.to_bytes(8, "big"))
    _read(sock, amount)


def upload(sock: socket.socket, amount: int) -> None:
    """Send `amount` bytes and wait until the origin has them."""
    sock.sendall(b"u" + amount.to_bytes(8, "big"))
    _write(sock, amount)
    _read(sock, 1)


def _measure(
    transfer: Transfer, origin_port: int, proxy_port: int, proxy: Connection, amount: int
) -> tuple[float, float]:
    """CPU seconds per GB in the proxy, and the throughput as a share of a direct connection's just before."""
    with socket.create_connection(("127.0.0.1", origin_port)) as direct:
        direct_seconds = _seconds(transfer, direct, amount)
    with _tunnel(proxy_port, origin_port) as tunnel:
        before = _ask(proxy, "cpu")
        seconds = _seconds(transfer, tunnel, amount)
        cpu = _ask(proxy, "cpu") - before
    return cpu * GIGABYTE / amount, direct_seconds / seconds


def _seconds(transfer: Transfer, sock: socket.socket, amount: int) -> float:
    start = time.perf_counter()
    transfer(sock, amount)
    return time.perf_counter() - start


def _idle_megabytes(origin_port: int, proxy_port: int, proxy: Connection) -> float:
    """Memory that open tunnels add to the proxy, after each has carried something."""
    with _tunnel(proxy_port, origin_port) as first:
        download(first, 100_000)
        before = _ask(proxy, "memory")
        tunnels = [_tunnel(proxy_port, origin_port) for _ in range(IDLE_TUNNELS)]
        for tunnel in tunnels:
            download(tunnel, 1000)
        grown = _ask(proxy, "memory") - before
        for tunnel in tunnels:
            tunnel.close()
    return grown / 1e6


def _tunnel(proxy_port: int, origin_port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", proxy_port))
    sock.sendall(f"CONNECT 127.0.0.1:{origin_port} HTTP/1.1\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 200 "), head
    return sock


def _ask(proxy: Connection, what: str) -> float:
    proxy.send(what)
    return float(proxy.recv())


@contextmanager
def _process(serve: Callable[[Connection], None]) -> Iterator[tuple[int, Connection]]:
    """Run `serve` in a process of its own, which says its port first; it ends with this block."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield int(ours.recv()), ours
    finally:
        process.terminate()
        process.join()


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def _serve_proxy(pipe: Connection) -> None:
    import uvloop

    _raise_descriptor_limit()
    uvloop.run(_proxy_main(pipe))


async def _proxy_main(pipe: Connection) -> None:
    proxy = EgressProxy(count=ByteCount(), policy=Policy(), on_event=lambda kind, detail: None)
    listener = _listen()
    port = listener.getsockname()[1]
    await proxy.start(listener)
    pipe.send(port)
    measures = {"cpu": time.process_time, "memory": _resident_bytes}
    asyncio.get_running_loop().add_reader(pipe.fileno(), lambda: pipe.send(measures[pipe.recv()]()))
    await asyncio.Event().wait()


def _resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve_origin(pipe: Connection) -> None:
    _raise_descriptor_limit()
    listener = _listen()
    pipe.send(listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve_transfers, args=(sock,), daemon=True).start()


def _serve_transfers(sock: socket.socket) -> None:
    with sock:
        while order := sock.recv(9, socket.MSG_WAITALL):
            amount = int.from_bytes(order[1:], "big")
            if order[:1] == b"d":
                _write(sock, amount)
            else:
                _read(sock, amount)
                sock.sendall(b".")


def _write(sock: socket.socket, amount: int) -> None:
    block = memoryview(_BLOCK)
    while amount > 0:
        amount -= sock.send(block[: min(amount, len(block))])


def _read(sock: socket.socket, amount: int) -> None:
    buffer = bytearray(len(_BLOCK))
    while amount > 0:
        got = sock.recv_into(buffer, min(amount, len(buffer)))
        assert got, "the connection ended early"
        amount -= got


def table(rows: list[Row]) -> str:
    """The rows for people."""
    return "\n".join(["| egress | |", "|---|---|", *map(str, rows)])


def main() -> None:
    print(table(measure()))


if __name__ == "__main__":
    main()
