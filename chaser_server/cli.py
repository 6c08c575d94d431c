"""The command line: `serve`, which is also what an empty one means, and what an operator needs beside it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from chaser_server import __version__, commands, doctor, doctor_report, logs
from chaser_server.config import Config
from chaser_server.config_file import find_file, load
from chaser_server.errors import ChaserError, MachineError
from chaser_server.limits import GRACE_DAYS_DEFAULT, GRACE_DAYS_HIGH

_FORCED_EXIT = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors meant for a person are printed without a traceback."""
    os.environ.setdefault("PATH", os.defpath)  # for what looks programs up, when whoever started us gave none
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


_BENCH_PARTS = "what to measure, e.g. sessions; none: all but `cost` and `trials`, which run only when named"


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
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    subparsers.add_parser("serve", parents=[server], help="run the server (the default)").set_defaults(run=_serve)
    check = subparsers.add_parser("doctor", parents=[server], help="check this machine, and say how to mend it")
    check.set_defaults(run=_doctor)
    setup = subparsers.add_parser("setup", help="install what the server needs: Chromium, Xvfb, bubblewrap")
    setup.add_argument("--dev", action="store_true", help="also what the tests need")
    login = subparsers.add_parser("login", parents=[common], help="print a one-time sign-in link for the dashboard")
    login.add_argument("--workspace", default="default", metavar="NAME")
    login.set_defaults(run=commands.login)
    logout = subparsers.add_parser("logout", parents=[common], help="sign everybody out of a workspace's dashboard")
    logout.add_argument("--workspace", default="default", metavar="NAME")
    logout.set_defaults(run=commands.logout)
    _add_keys(subparsers, common)
    _add_workspaces(subparsers, common)
    vacuum = subparsers.add_parser("vacuum", parents=[common], help="forget what is too old, and shrink the database")
    vacuum.set_defaults(run=commands.vacuum)
    bench = subparsers.add_parser("bench", parents=[common], help="measure this server on this machine")
    bench.add_argument("parts", nargs="*", metavar="PART", help=_BENCH_PARTS)
    bench.add_argument("--quick", action="store_true", help="measure less: a few minutes")
    bench.add_argument("--json", metavar="FILE", type=Path, help="also write one JSON line per row")
    return parser


def _add_keys(subparsers: Any, common: argparse.ArgumentParser) -> None:
    keys = subparsers.add_parser("keys", help="create, list, rotate and revoke API keys")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[common], help="make a key; its secret is shown once")
    create.add_argument("name", help="what the key is for")
    create.add_argument("--workspace", default="default", metavar="NAME")
    create.add_argument("--mode", choices=("live", "test"), default="live")
    create.set_defaults(run=commands.create_key)
    listing = actions.add_parser("list", parents=[common], help="show all keys")
    listing.set_defaults(run=commands.list_keys)
    revoke = actions.add_parser("revoke", parents=[common], help="make a key invalid at once")
    revoke.add_argument("key", metavar="ID_OR_PREFIX")
    revoke.set_defaults(run=commands.revoke_key)
    rotate = actions.add_parser("rotate", parents=[common], help="make a key in place of another")
    rotate.add_argument("key", metavar="ID_OR_PREFIX")
    rotate.add_argument(
        "--grace-days", type=_days, default=GRACE_DAYS_DEFAULT, metavar="N", help="the old one works so long: 0 to 30"
    )
    rotate.set_defaults(run=commands.rotate_key)


def _add_workspaces(subparsers: Any, common: argparse.ArgumentParser) -> None:
    workspaces = subparsers.add_parser("workspaces", help="create and list workspaces")
    actions = workspaces.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", parents=[common], help="add a workspace")
    create.add_argument("name")
    create.set_defaults(run=commands.create_workspace)
    limit = actions.add_parser("limit", parents=[common], help="give a workspace limits of its own")
    limit.add_argument("name")
    limit.add_argument("--concurrent-sessions", type=_natural, metavar="N", help="0: no limit; left out: the server's")
    limit.add_argument("--egress-budget-bytes", type=_natural, metavar="N", help="per month; likewise")
    limit.set_defaults(run=commands.limit_workspace)
    listing = actions.add_parser("list", parents=[common], help="show all workspaces")
    listing.set_defaults(run=commands.list_workspaces)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _days(text: str) -> int:
    if _natural(text) > GRACE_DAYS_HIGH:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {GRACE_DAYS_HIGH}")
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
    from chaser_server.substrate.from_config import learn

    status = install(dev=options.dev)
    if status == 0:
        config = Config()
        asyncio.run(learn(config))
        print(f"have       versions of browsers, and phones: {config.cache_dir}")
    return status


async def _examine(config: Config, *, thorough: bool) -> list[doctor_report.Check]:
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
    print(doctor_report.render(checks))
    return doctor_report.exit_status(checks)


async def _serve(options: argparse.Namespace, config: Config) -> int:
    from chaser_server.app import serving
    from chaser_server.descriptors import allow_many

    logs.set_up(config.log)
    allow_many()
    if refusal := doctor_report.refusal(await _examine(config, thorough=False)):
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

    return run(config, only=options.parts, json_file=options.json, quick=options.quick)
