"""Builds every room once, from the ground up, and takes them down in reverse."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from aiohttp import web

from chaser_server.config import Config, LimitsConfig
from chaser_server.errors import ConfigError, MachineError
from chaser_server.limits import sessions_for
from chaser_server.machine import measure
from chaser_server.model import Workspace, utc_now
from chaser_server.sessions.bookkeeper import Bookkeeper
from chaser_server.sessions.housekeeper import Housekeeper
from chaser_server.sessions.lives import Lives
from chaser_server.sessions.places import Places
from chaser_server.sessions.reaper import Reaper
from chaser_server.sessions.rounds import every
from chaser_server.sessions.service import SessionService
from chaser_server.signing import LINK_LIFE, Signer
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.links import UsedLinks
from chaser_server.store.retention import Retention
from chaser_server.store.secrets import load_secret
from chaser_server.store.sessions import SessionStore
from chaser_server.store.usage import UsageStore
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.substrate.from_config import local_substrate, upstream_pool
from chaser_server.substrate.pool import Pool
from chaser_server.substrate.rehearsal import RehearsalSubstrate
from chaser_server.tokens import is_key, new_key
from chaser_server.web.routes import build_application
from chaser_server.web.runner import Runner

DATABASE_NAME = "chaser.db"
URL_NAME = "url"
"""Where a running server answers, for the commands beside it."""
SIGNING_SECRET = "signing"
REAP_SECONDS = 0.25
HOUSEKEEPING_SECONDS = 10.0
_LAST_WORDS_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers.

    `first_key` is the secret made at the very first start, else None; `sign_in_url` opens the dashboard, once.
    """

    url: str
    service: SessionService
    pool: Pool
    first_key: str | None
    sign_in_url: str


@asynccontextmanager
async def serving(config: Config, *, imported_key: str = "") -> AsyncIterator[Server]:
    """A running server for the length of the block; drained, with nothing left of any session, behind it.

    `imported_key` is an API key that becomes valid for the default workspace. Raises `MachineError` when the machine
    lacks something, and `ConfigError`; nothing is left behind then.
    """
    data_dir = config.data_dir
    async with AsyncExitStack() as stack:
        stack.enter_context(_locked(data_dir))
        database = await Database.open(data_dir / DATABASE_NAME)
        stack.push_async_callback(database.close)
        store, workspaces = SessionStore(database, config.metering.count), WorkspaceStore(database)
        audit = AuditLog(database)
        signer = Signer(await load_secret(database, SIGNING_SECRET))
        first_key = await _first_key(workspaces, imported_key)
        listener = stack.enter_context(_listen(*config.server.address))
        upstreams, refusals = upstream_pool(config), Counter[str]()
        pool = await local_substrate(config, listener, upstreams=upstreams, refusals=refusals)
        stack.push_async_callback(pool.close)
        rehearsal = RehearsalSubstrate(pool.profiles)
        places = Places(store=store, substrate=pool, rehearsal=rehearsal, limits=_sized(config.limits))
        lives = Lives(store=store, audit=audit, places=places)
        service = SessionService(store=store, places=places, lives=lives)
        if orphaned := await lives.recover():
            log.warning("closed %d sessions that an earlier start left open", orphaned)
        reaper = Reaper(places=places, lives=lives, idle_seconds=config.limits.idle_seconds)
        bookkeeper = Bookkeeper(places=places, lives=lives, store=store)
        application = build_application(
            config=config,
            service=service,
            workspaces=workspaces,
            audit=audit,
            usage_store=UsageStore(database),
            used_links=UsedLinks(database),
            signer=signer,
            upstreams=upstreams,
            refusals=refusals,
            pool=pool,
        )
        stack.push_async_callback(_in_time, lives.settle, _LAST_WORDS_SECONDS)  # what leaving clients still note
        runner = Runner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await stack.enter_async_context(every(REAP_SECONDS, reaper.reap, name="reaper"))
        housekeeper = Housekeeper(retention=Retention(database), config=config.retention)
        await stack.enter_async_context(every(HOUSEKEEPING_SECONDS, housekeeper.round, name="housekeeper"))
        await stack.enter_async_context(every(config.metering.flush_seconds, bookkeeper.flush, name="bookkeeper"))
        stack.callback(audit.end)
        stack.push_async_callback(_in_time, partial(_drain, lives, pool), config.server.drain_seconds)
        await web.SockSite(runner, listener).start()
        url = _url(listener)
        (data_dir / URL_NAME).write_text(url, encoding="utf-8")
        stack.callback((data_dir / URL_NAME).unlink, missing_ok=True)
        default = await workspaces.ensure_default()
        pool.start()
        sign_in = sign_in_url(config, signer, default, url)
        yield Server(url=url, service=service, pool=pool, first_key=first_key, sign_in_url=sign_in)


def sign_in_url(config: Config, signer: Signer, workspace: Workspace, url: str) -> str:
    """A link that signs one browser in to the dashboard of a workspace, once, within a quarter of an hour."""
    token = signer.sign_link(workspace.id, utc_now() + LINK_LIFE, workspace.sign_in_epoch)
    return f"{config.server.public_url.rstrip('/') or url}/dashboard/login?token={token}"


async def _drain(lives: Lives, pool: Pool) -> None:
    await asyncio.gather(lives.drain(), pool.empty())


async def _in_time(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    try:
        await asyncio.wait_for(work(), seconds)
    except TimeoutError:
        log.error("some sessions did not end within %g s; the kernel ends them with this process", seconds)


async def _first_key(workspaces: WorkspaceStore, imported: str) -> str | None:
    """Make the key of the first start, or take the one that came in; only a new secret is returned."""
    workspace = await workspaces.ensure_default()
    if imported:
        if not is_key(imported):
            raise ConfigError("CHASER_KEY is no API key: cha_live_ or cha_test_ and 43 characters of A-Z a-z 0-9 _ -")
        await workspaces.add_key(workspace.id, name="CHASER_KEY", secret=imported)
        return None
    if await workspaces.keys():
        return None
    secret = new_key()
    await workspaces.add_key(workspace.id, name="first start", secret=secret)
    return secret


def _sized(limits: LimitsConfig) -> LimitsConfig:
    """Limits whose `auto` has become a number."""
    if limits.max_sessions != "auto":
        return limits
    here = measure()
    most = sessions_for(memory_bytes=here.memory_bytes, cores=here.cores)
    log.info("at most %d sessions: %.1f GiB of memory, %g cores", most, here.memory_bytes / 2**30, here.cores)
    return replace(limits, max_sessions=most)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """The data directory for this process alone, by an advisory lock that the kernel drops with the process."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise MachineError(f"cannot use the data directory {data_dir}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineError(
                f"another chaser-server uses the data directory {data_dir}; give this one its own with --data-dir"
            ) from error
        yield


def _listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket. Raises `MachineError` that says what is wrong with the address."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        why = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
        mend = "stop what uses it, or choose another with --listen HOST:PORT (port 0 takes any free one)"
        raise MachineError(f"cannot listen on {host}:{port}: {why}; {mend}") from error


def _url(listener: socket.socket) -> str:
    """The address for a client on this machine: one that listens everywhere is reached by its loopback."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
