"""Resolve once, judge each address, dial those that may be dialled. Knows nothing of HTTP or of who asks."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import aiohappyeyeballs

from chaser_server.egress.policy import Address, Policy, Refusal, is_localhost, is_loopback, literal_address

LOOKUPS_AT_ONCE = 8
"""Of one session, each with a thread of its own."""
_RESOLVE_SECONDS = 15.0
_CONNECT_SECONDS = 30.0
_NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305 8: Connection Attempt Delay

Resolver = Callable[[str], Awaitable[list[Address]]]
_LOOPBACK: list[Address] = [ip_address("127.0.0.1"), ip_address("::1")]
_CAUSES = {
    errno.ECONNREFUSED: "refused the connection",
    errno.EHOSTUNREACH: "cannot be reached (no route to host)",
    errno.ENETUNREACH: "cannot be reached (no route to its network)",
    errno.ETIMEDOUT: "did not answer",
    errno.ECONNRESET: "reset the connection",
    errno.EMFILE: "cannot be dialled: the server is out of file descriptors",
}


class DialError(Exception):
    """No connection was made, and none is left behind. `status` is what a proxy answers; the message says why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Refused(DialError):
    """The policy does not allow it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, refusal.text)
        self.rule = refusal.rule


async def resolve_by_system(host: str) -> list[Address]:
    """The addresses of a name by getaddrinfo(3), in its order (RFC 6724). Raises OSError.

    Each lookup has a daemon thread of its own, because it may take long and cannot be called off: only two of libuv's
    threads look names up, for all sessions together, and the loop waits for them when it is closed.
    """
    found: Future[list[Any]] = Future()
    threading.Thread(target=_ask_system, args=(host, found), name="lookup", daemon=True).start()
    infos = await asyncio.wrap_future(found)
    return list(dict.fromkeys(ip_address(str(info[4][0]).partition("%")[0]) for info in infos))


def _ask_system(host: str, found: Future[list[Any]]) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except Exception as error:  # for whoever waits
        found.set_exception(error)


def is_this_machine(address: Address) -> bool:
    """Whether the address is one of this machine's: the route to it begins where it ends. Nothing is sent."""
    if is_loopback(address):
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:
            return False
        return ip_address(probe.getsockname()[0].partition("%")[0]) == address


class Dialer:
    """Makes connections that `policy` allows; `resolver` looks names up."""

    def __init__(self, *, policy: Policy, resolver: Resolver = resolve_by_system) -> None:
        self._policy = policy
        self._resolver = resolver
        self._turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._lookups: set[asyncio.Future[list[Address]]] = set()

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected, non-blocking socket to one of the host's addresses, tried as RFC 8305 says. Raises DialError."""
        return await connect(f"{host}:{port}", port, await self.allowed_addresses(host, port))

    async def allowed_addresses(self, host: str, port: int) -> list[Address]:
        """The host's addresses that may be dialled, at least one. Raises DialError."""
        self.check_name(host, port)
        addresses = await self.resolve(host)
        verdicts = [(address, self._policy.judge(host, port, address)) for address in addresses]
        allowed = [address for address, verdict in verdicts if verdict is None]
        if not allowed:
            raise Refused(next(verdict for _, verdict in verdicts if verdict))
        return allowed

    def check_name(self, host: str, port: int) -> None:
        """Raises Refused for what is blocked by name."""
        refusal = self._policy.judge_name(host, port)
        if refusal:
            raise Refused(refusal)

    async def resolve(self, host: str) -> list[Address]:
        """The host's addresses, at least one, not judged. Raises DialError."""
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        if is_localhost(host):
            return list(_LOOPBACK)
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                addresses = await self._look_up(host)
        except TimeoutError:
            raise DialError(HTTPStatus.GATEWAY_TIMEOUT, f"Looking up {host} took too long.") from None
        except (OSError, UnicodeError) as error:
            raise DialError(HTTPStatus.BAD_GATEWAY, f"{host} cannot be resolved: {_cause(error)}.") from None
        if not addresses:
            raise DialError(HTTPStatus.BAD_GATEWAY, f"{host} cannot be resolved: it has no address.")
        return addresses

    async def _look_up(self, host: str) -> list[Address]:
        """Look a name up at its turn, which ends with the lookup and not with the waiting for it: a thread is slow to
        hear that nobody waits any more."""
        await self._turns.acquire()
        lookup = asyncio.ensure_future(self._resolver(host))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._looked_up)
        return await asyncio.shield(lookup)

    def _looked_up(self, lookup: asyncio.Future[list[Address]]) -> None:
        self._lookups.discard(lookup)
        self._turns.release()
        if not lookup.cancelled():
            lookup.exception()  # whoever still waits has it; nobody need


async def connect(what: str, port: int, addresses: list[Address]) -> socket.socket:
    """Dial the addresses in turn; `what` begins the error's text. Raises DialError."""
    infos = [_address_info(address, port) for address in addresses]
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await aiohappyeyeballs.start_connection(
                infos, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=asyncio.get_running_loop()
            )
    except TimeoutError:
        raise DialError(HTTPStatus.GATEWAY_TIMEOUT, f"{what} did not answer in time.") from None
    except (OSError, RuntimeError) as error:  # uvloop has RuntimeErrors of its own
        number = getattr(error, "errno", None) or 0
        status = HTTPStatus.GATEWAY_TIMEOUT if number == errno.ETIMEDOUT else HTTPStatus.BAD_GATEWAY
        raise DialError(status, f"{what} {_CAUSES.get(number, f'cannot be dialled: {_cause(error)}')}.") from None


def _address_info(address: Address, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)


def _cause(error: Exception) -> str:
    known = isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno
    return os.strerror(known) if known else str(error).rstrip(".")
