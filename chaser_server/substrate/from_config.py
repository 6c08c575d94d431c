"""The browsers of this machine as the configuration wants them: from its sections to a pool that brings them up."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaser_server.chromium.cache import AnswerCache
from chaser_server.chromium.find import BrowserExecutable, find_chromium, find_headless_shell
from chaser_server.chromium.profiles import Devices, Profile, load_devices, resolve
from chaser_server.chromium.version import chrome_major
from chaser_server.config import Config
from chaser_server.egress.dial import is_this_machine
from chaser_server.egress.policy import Policy, Rules, is_loopback
from chaser_server.egress.upstream import Upstream, UpstreamPool
from chaser_server.errors import ConfigError, MachineError
from chaser_server.sandbox import bundle, orphans
from chaser_server.sandbox.process import Walls
from chaser_server.substrate.maker import Executable, LocalMaker
from chaser_server.substrate.pool import Pool, shelf_sizes

SYSTEM_PYTHON = "/usr/bin/python3"

log = logging.getLogger(__name__)


async def local_substrate(
    config: Config,
    listener: socket.socket,
    *,
    upstreams: UpstreamPool | None,
    refusals: Counter[str],
) -> Pool:
    """What launches sessions here; what an earlier life of the server left behind is ended first.

    `listener` is the server's own, which sessions may not reach; `refusals` counts those of the egress policy, by rule.
    Raises what `learn` raises, and `ConfigError` for an entry of the egress policy that is none.
    """
    return Pool(
        await _local_maker(config, listener, upstreams=upstreams, refusals=refusals),
        sizes=shelf_sizes(config.pool, config.profiles),
        max_age_seconds=config.pool.max_age_seconds,
    )


def upstream_pool(config: Config) -> UpstreamPool | None:
    """The pool of upstream proxies, or None when sessions go out directly. Raises `ConfigError`."""
    pool = UpstreamPool(
        [
            Upstream.parse(
                one.name,
                one.url,
                region=one.region or None,
                weight=one.weight,
                ip=one.ip or None,
                remote_dns=one.remote_dns,
            )
            for one in config.upstreams
        ]
    )
    for name, profile in config.profiles.items():
        if profile.region and profile.region not in pool.regions:
            known = ", ".join(sorted(pool.regions)) or "none"
            raise ConfigError(f"profiles.{name}.region: no upstream is in {profile.region!r}; regions: {known}")
    return pool if config.upstreams else None


def instance_name(data_dir: Path) -> str:
    """What stands in the name of every process and directory of a server's sessions.

    Two servers may share a machine but not a data directory, so its path names what belongs to one of them.
    """
    return f"chaser-{hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]}"


async def learn(config: Config, *, uid: int | None = None) -> tuple[dict[str, Executable], dict[str, Profile]]:
    """The browsers and the profiles of this machine, for sandboxes that run as `uid` (None: as this process).

    The first time browsers are asked for their versions and Playwright for its phones; the answers are kept. Raises
    `MachineError` without a usable Chromium, `ConfigError` for a device nobody knows.
    """
    cache, found = AnswerCache(config.cache_dir), _find_browsers(config, uid=uid)
    try:
        async with asyncio.TaskGroup() as questions:  # each is a process, which must not outlive a failure of the other
            executables = questions.create_task(_executables(found, cache), name="browsers' versions")
            profiles = questions.create_task(_profiles(config, cache), name="profiles")
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return executables.result(), profiles.result()


async def _local_maker(
    config: Config,
    listener: socket.socket,
    *,
    upstreams: UpstreamPool | None,
    refusals: Counter[str],
) -> LocalMaker:
    isolated = config.sandbox.isolation == "bwrap"
    walls = Walls(
        isolated=isolated,
        bwrap=config.sandbox.bwrap,
        python=SYSTEM_PYTHON if isolated else sys.executable,  # a virtual environment is not in the sandbox
        user=config.sandbox.user,
        scratch_max_bytes=config.sandbox.scratch_max_bytes,
        doorman_folder=None if isolated and os.access(SYSTEM_PYTHON, os.X_OK) else bundle.doorman_folder(),
    )
    instance = instance_name(config.data_dir)
    if killed := await asyncio.to_thread(orphans.clean_up, instance):
        log.warning("ended %d processes that an earlier start left behind", killed)
    user = walls.outer_user()
    executables, profiles = await learn(config, uid=None if user is None else user[0])
    host, port = listener.getsockname()[:2]
    choice = config.egress.private_networks
    is_public = choice == "closed" or (choice == "auto" and not ipaddress.ip_address(host).is_loopback)
    policy = Policy(
        is_public=is_public,
        is_own_address=is_this_machine if is_public else is_loopback,
        allow=_rules("egress.allow", config.egress.allow),
        block=_rules("egress.block", config.egress.block),
        own_ports=lambda: {port},
    )
    return LocalMaker(
        config=config.browser,
        preview=config.preview,
        executables=executables,
        profiles=profiles,
        walls=walls,
        policy=policy,
        upstreams=upstreams,
        direct=_rules("egress.direct", config.egress.direct),
        refusals=refusals,
        instance=instance,
    )


def _find_browsers(config: Config, *, uid: int | None) -> dict[str, BrowserExecutable]:
    """The browsers of this machine; the small one may be missing. Raises `MachineError` without Chromium."""
    found = {"chromium": find_chromium(config.browser.executable, uid=uid)}
    with contextlib.suppress(MachineError):
        found["headless-shell"] = find_headless_shell(uid=uid)
    return found


async def _executables(found: Mapping[str, BrowserExecutable], cache: AnswerCache) -> dict[str, Executable]:
    return {kind: Executable(one.path, await chrome_major(one.path, cache)) for kind, one in found.items()}


async def _profiles(config: Config, cache: AnswerCache) -> dict[str, Profile]:
    wants_devices = any(profile.device for profile in config.profiles.values())
    devices: Devices = await load_devices(cache) if wants_devices else {}
    return {
        name: resolve(name, profile, display=config.browser.display, devices=devices)
        for name, profile in config.profiles.items()
    }


def _rules(key: str, entries: Sequence[str]) -> Rules:
    try:
        return Rules.parse(entries)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error.message}") from error
