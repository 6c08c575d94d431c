"""The command line: `serve`, which is also what an empty one means, and what an operator needs beside it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chaser_server import __version__, doctor, logs
from chaser_server.config import Config, find_file, load
from chaser_server.errors import ChaserError, MachineError, NotFound
from chaser_server.model import Workspace

_FORCED_EXIT = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors meant for a person are printed without a traceback."""
    options = _parser().parse_args(_with_command(sys.argv[1:] if arguments is None else arguments))
    try:
        if options.command == "setup":
            return _setup(options)
        config = load(find_file(options.config, os.environ), _overrides(options))
        if options.command == "bench":
            return _bench(options, config)
        return _run(options.run(options, config))
    except ChaserError as error:
        print(f"chaser-server: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _FORCED_EXIT


def _with_command(arguments: Sequence[str]) -> Sequence[str]:
    """`serve` may be left out."""
    leading = arguments[0] if arguments else ""
    is_serve = not leading or (leading.startswith("-") and leading not in ("-h", "--help", "--version"))
    return ["serve", *arguments] if is_serve else arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaser-server", description="Self-hosted browser sessions over CDP.")
    parser.add_argument("--version", action="version", version=f"chaser-server {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="TOML file; else CHASER_CONFIG, else ./chaser.toml")
    common.add_argument("--data-dir", metavar="DIR", help="where the database lives")
    server = argparse.ArgumentParser(add_help=False, parents=[common])
    server.add_argument("--listen", metavar="HOST:PORT", help="port 0 takes any free one; it is on the ready line")
    server.add_argument("--log-format", choices=("text", "json"))
    server.add_argument("--isolation", choices=("bwrap", "none"), help="none: sessions share this user's files")
    server.add_argument("--display", choices=("xvfb", "headless"), help="headless: no screen, only pages")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", parents=[server], help="run the server (the default)").set_defaults(run=_serve)
    check = commands.add_parser("doctor", parents=[server], help="check this machine, and say how to mend it")
    check.set_defaults(run=_doctor)
    setup = commands.add_parser("setup", help="install what the server needs: Chromium, Xvfb, bubblewrap")
    setup.add_argument("--dev", action="store_true", help="also what the tests need")
    login = commands.add_parser("login", parents=[common], help="print a one-time sign-in link for the dashboard")
    login.add_argument("--workspace", default="default", metavar="NAME")
    login.set_defaults(run=_login)
    _add_keys(commands, common)
    _add_workspaces(commands, common)
    vacuum = commands.add_parser("vacuum", parents=[common], help="forget what is too old, and shrink the database")
    vacuum.set_defaults(run=_vacuum)
    bench = commands.add_parser("bench", parents=[common], help="measure this machine: relay, sessions")
    bench.add_argument("--json", action="store_true", help="also one JSON line per row")
    return parser


def _add_keys(commands: Any, common: argparse.ArgumentParser) -> None:
    keys = commands.add_parser("keys", help="create, list and revoke API keys")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[common], help="make a key; its secret is shown once")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--workspace", default="default", metavar="NAME")
    create.add_argument("--mode", choices=("live", "test"), default="live")
    create.set_defaults(run=_create_key)
    listing = actions.add_parser("list", parents=[common], help="show all keys")
    listing.set_defaults(run=_list_keys)
    revoke = actions.add_parser("revoke", parents=[common], help="make a key invalid at once")
    revoke.add_argument("key", metavar="ID_OR_PREFIX")
    revoke.set_defaults(run=_revoke_key)


def _add_workspaces(commands: Any, common: argparse.ArgumentParser) -> None:
    workspaces = commands.add_parser("workspaces", help="create and list workspaces")
    actions = workspaces.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[common], help="add a workspace")
    create.add_argument("name")
    create.set_defaults(run=_create_workspace)
    limit = actions.add_parser("limit", parents=[common], help="give a workspace limits of its own")
    limit.add_argument("name")
    limit.add_argument("--concurrent-sessions", type=_natural, metavar="N", help="0: no limit; left out: the server's")
    limit.add_argument("--egress-budget-bytes", type=_natural, metavar="N", help="per month; likewise")
    limit.set_defaults(run=_limit_workspace)
    listing = actions.add_parser("list", parents=[common], help="show all workspaces")
    listing.set_defaults(run=_list_workspaces)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What the flags say, as config tables."""
    flags = {
        ("server", "listen"): "listen",
        ("server", "data_dir"): "data_dir",
        ("log", "format"): "log_format",
        ("sandbox", "isolation"): "isolation",
        ("browser", "display"): "display",
    }
    tables: dict[str, dict[str, Any]] = {}
    for (section, key), flag in flags.items():
        if (value := getattr(options, flag, None)) is not None:
            tables.setdefault(section, {})[key] = value
    return tables


def _run(work: Awaitable[int]) -> int:
    import uvloop

    async def whole() -> int:
        return await work

    return uvloop.run(whole())


def _setup(options: argparse.Namespace) -> int:
    from chaser_server.install import install

    return install(dev=options.dev)


async def _examine(config: Config, *, thorough: bool) -> list[doctor.Check]:
    return await doctor.examine(
        executable=config.browser.executable,
        xvfb=config.browser.xvfb,
        bwrap=config.sandbox.bwrap,
        sandbox_user=config.sandbox.user,
        isolation=config.sandbox.isolation,
        display=config.browser.display,
        listen=config.server.address,
        data_dir=config.data_dir,
        thorough=thorough,
    )


async def _doctor(options: argparse.Namespace, config: Config) -> int:
    checks = await _examine(config, thorough=True)
    print(doctor.render(checks))
    return doctor.exit_status(checks)


async def _serve(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.app import serving
    from chaser_server.descriptors import allow_many

    logs.set_up(config.log)
    allow_many()
    if refusal := doctor.refusal(await _examine(config, thorough=False)):
        raise MachineError(refusal)
    stop = _stop_on_signal()
    if config.sandbox.isolation == "none":
        print("WARNING: isolation is none: sessions share this user's files and this machine's loopback.", flush=True)
    async with serving(config, imported_key=os.environ.get("CHASER_KEY", "")) as server:
        if server.first_key is not None:
            print(_welcome(server.url, server.first_key), flush=True)
        print(f"dashboard (sign-in link, good once): {server.sign_in_url}", flush=True)
        print(f"chaser-server {__version__} ready on {server.url}", flush=True)
        await stop.wait()
        print("chaser-server is closing its sessions", flush=True)
    return 0


def _stop_on_signal() -> asyncio.Event:
    """Set at the first SIGTERM or SIGINT; at the second one the process goes at once."""
    stop = asyncio.Event()

    def stop_or_go() -> None:
        if stop.is_set():
            os._exit(_FORCED_EXIT)
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop_or_go)
    return stop


def _welcome(url: str, key: str) -> str:
    return f"""
Your API key, shown only this once:

  export CHASER_KEY={key}

Create a first session:

  curl -s {url}/v1/sessions -X POST -H "Authorization: Bearer {key}" -d '{{}}'
"""


def _bench(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.bench.suite import run

    return run(config, as_json=options.json)


@asynccontextmanager
async def _database(config: Config) -> AsyncIterator[Any]:
    """The database; works beside a running server, for SQLite is shared."""
    from chaser_server.app import DATABASE_NAME
    from chaser_server.store.database import Database

    database = await Database.open(config.data_dir / DATABASE_NAME)
    try:
        await _stored(database).ensure_default()
        yield database
    finally:
        await database.close()


def _stored(database: Any) -> Any:
    from chaser_server.store.workspaces import WorkspaceStore

    return WorkspaceStore(database)


@asynccontextmanager
async def _workspaces(config: Config) -> AsyncIterator[Any]:
    async with _database(config) as database:
        yield _stored(database)


async def _named(store: Any, name: str) -> Workspace:
    workspace: Workspace | None = await store.by_name(name)
    if workspace is None:
        raise NotFound(f"there is no workspace named {name!r}; see: chaser-server workspaces list")
    return workspace


async def _login(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.app import SIGNING_SECRET, URL_NAME, sign_in_url
    from chaser_server.signing import Signer
    from chaser_server.store.secrets import load_secret

    address = config.data_dir / URL_NAME
    if not address.exists():
        raise NotFound(f"no server is running on the data directory {config.data_dir}")
    async with _database(config) as database:
        workspace = await _named(_stored(database), options.workspace)
        signer = Signer(await load_secret(database, SIGNING_SECRET))
    print(sign_in_url(config, signer, workspace.id, address.read_text(encoding="utf-8")))
    return 0


async def _create_key(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.tokens import new_key

    async with _workspaces(config) as store:
        workspace = await _named(store, options.workspace)
        secret = new_key(options.mode)
        await store.add_key(workspace.id, name=options.name, secret=secret)
    print(secret)
    return 0


async def _list_keys(options: argparse.Namespace, config: Config) -> int:
    async with _workspaces(config) as store:
        names = {workspace.id: workspace.name for workspace in await store.all()}
        rows = [
            (key.id, key.prefix, key.name, names[key.workspace_id], _moment(key.created_at), _moment(key.revoked_at))
            for key in await store.keys()
        ]
    _print_table(("id", "prefix", "name", "workspace", "created", "revoked"), rows)
    return 0


async def _revoke_key(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.model import utc_now

    async with _workspaces(config) as store:
        key = await store.revoke_key(options.key, utc_now())
    print(f"revoked {key.prefix}… ({key.name})")
    return 0


async def _create_workspace(options: argparse.Namespace, config: Config) -> int:
    async with _workspaces(config) as store:
        workspace = await store.create(options.name)
    print(workspace.id)
    return 0


async def _limit_workspace(options: argparse.Namespace, config: Config) -> int:
    async with _workspaces(config) as store:
        workspace = await _named(store, options.name)
        await store.set_limits(
            workspace.id,
            concurrent_sessions=options.concurrent_sessions,
            egress_budget_bytes=options.egress_budget_bytes,
        )
    return 0


async def _list_workspaces(options: argparse.Namespace, config: Config) -> int:
    async with _workspaces(config) as store:
        rows = [
            (one.id, one.name, _moment(one.created_at), _own(one.concurrent_sessions), _own(one.egress_budget_bytes))
            for one in await store.all()
        ]
    _print_table(("id", "name", "created", "sessions", "egress budget"), rows)
    return 0


async def _vacuum(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.sessions.housekeeper import Housekeeper
    from chaser_server.store.retention import Retention

    async with _database(config) as database:
        went = await Housekeeper(retention=Retention(database), config=config.retention).all()
        await database.vacuum()
    print(f"removed {went} rows that were too old, and shrank the database")
    return 0


def _own(limit: int | None) -> str:
    return "server's" if limit is None else str(limit)


def _moment(moment: Any) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
