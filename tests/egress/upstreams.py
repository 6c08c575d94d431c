"""Upstream proxies from Debian as peers: tinyproxy (HTTP, Basic), microsocks (SOCKS5, user and password), and stunnel
in front of tinyproxy (HTTPS). Each stands behind a counting relay, which sees what the upstream's client side sees."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.egress.peers import Origin, OriginSide, origin, until

USER, PASSWORD = "chaser", "s3cret-word"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def needed(program: str) -> str:
    path = shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin")
    assert path, f"{program} is missing: apt-get install tinyproxy-bin microsocks stunnel4"
    return path


@contextlib.asynccontextmanager
async def running(port: int, *argv: str) -> AsyncIterator[None]:
    """The program, once it accepts connections on the port."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await until(lambda: accepts(port) or process.returncode is not None)
        assert process.returncode is None, f"{argv} ended at once"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Counted:
    """An upstream behind a relay that counts its client side."""

    url: str
    relay: Origin


@contextlib.asynccontextmanager
async def counted(scheme: str, port: int) -> AsyncIterator[Counted]:
    async def relay(side: OriginSide) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while data := await reader.read(65536):
                await side.write(data)
            side.writer.write_eof()

        backward = asyncio.create_task(back())
        try:
            while data := await side.read():
                writer.write(data)
                await writer.drain()
            with contextlib.suppress(OSError):
                writer.write_eof()
            await backward
        finally:
            backward.cancel()
            writer.transport.abort()

    async with origin(relay) as here:
        host = "localhost" if scheme == "https" else "127.0.0.1"
        yield Counted(f"{scheme}://{USER}:{PASSWORD}@{host}:{here.port}", here)


@contextlib.asynccontextmanager
async def tinyproxy(directory: Path) -> AsyncIterator[int]:
    port, config = free_port(), directory / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 100\nBasicAuth {USER} {PASSWORD}\n")
    async with running(port, needed("tinyproxy"), "-d", "-c", str(config)):
        yield port


@contextlib.asynccontextmanager
async def microsocks() -> AsyncIterator[int]:
    port = free_port()
    async with running(port, needed("microsocks"), "-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD):
        yield port


@contextlib.asynccontextmanager
async def stunnel(directory: Path, to_port: int) -> AsyncIterator[int]:
    port, pem, config = free_port(), certificate(directory), directory / "stunnel.conf"
    config.write_text(
        f"foreground = yes\npid =\n[proxy]\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{to_port}\ncert = {pem}\n"
    )
    async with running(port, needed("stunnel4"), str(config)):
        yield port


def certificate(directory: Path) -> Path:
    """A self-signed certificate for localhost, key included."""
    pem = directory / "localhost.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(
        [*command, "-keyout", str(pem), "-out", str(directory / "cert.pem")], check=True, capture_output=True
    )
    pem.write_text(pem.read_text() + (directory / "cert.pem").read_text())
    pem.chmod(0o600)
    return pem


def trusting(directory: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(directory / "cert.pem"))


@contextlib.asynccontextmanager
async def upstream_of_kind(kind: str, directory: Path) -> AsyncIterator[Counted]:
    """A counted upstream: "http", "https" or "socks5"."""
    async with contextlib.AsyncExitStack() as stack:
        if kind == "socks5":
            port = await stack.enter_async_context(microsocks())
        else:
            port = await stack.enter_async_context(tinyproxy(directory))
        if kind == "https":
            port = await stack.enter_async_context(stunnel(directory, port))
        yield await stack.enter_async_context(counted(kind, port))
