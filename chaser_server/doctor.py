"""Examine this machine: is everything there that the server needs, and how is it mended? Changes nothing.

The start of the server uses the same checks, less the slow ones. Knows no config: every function takes what it needs.
"""

from __future__ import annotations

import asyncio
import os
import platform
import pwd
import resource
import shutil
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaser_server import obstacles
from chaser_server.chromium.find import BrowserExecutable, find_chromium
from chaser_server.doctor_report import Check, Health
from chaser_server.errors import MachineError
from chaser_server.ports import holder_of

SETUP = "python -m chaser_server setup"
GIB = 1024**3
TRIAL_SECONDS = 10.0  # how long one program may take to answer
HEALTH_SECONDS = 2.0  # how long a server may take to say that it is well
FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/System/Library/Fonts"))


@dataclass(frozen=True, slots=True)
class Person:
    """The unprivileged user under which a server run by root starts its sandboxes."""

    name: str
    uid: int
    gid: int


async def examine(
    *,
    executable: str,
    xvfb: str,
    bwrap: str,
    sandbox_user: str,
    isolation: str,
    display: str,
    listen: tuple[str, int] | None,
    data_dir: Path,
    thorough: bool,
) -> list[Check]:
    """Look at everything the server needs with these settings and return one check for each.

    `executable` may be empty (one is looked for); `xvfb` and `bwrap` are paths or command names; `sandbox_user` is a
    name or number and only matters to root; `listen` None leaves the port out. `thorough` starts the browser once to
    ask its version (up to 10 s on a cold disk), and takes a port as well where a chaser-server answers, for it may be
    this one; without it this takes some tens of milliseconds.
    """
    boxed = isolation != "none"
    person, checks = find_person(sandbox_user) if boxed and os.geteuid() == 0 else (None, [])
    checks += [_python(), await _browser(executable, person, thorough=thorough)]
    if display != "headless":
        checks += [_xvfb(xvfb), _keyboard_data()]
    if boxed:
        checks += [_system_python(), *await _bubblewrap(bwrap, person)]
    if listen is not None:
        checks.append(await _listen(*listen, may_run=thorough))
    checks += [_data_dir(data_dir), _disk(data_dir)]
    if not boxed:
        checks += _shared_memory()  # each sandbox has its own
    checks += [_file_descriptors(), _fonts(FONT_FOLDERS)]
    return checks


def find_person(name: str) -> tuple[Person | None, list[Check]]:
    """Look up the sandbox user by name or number; None with a failed check when there is none such or it is root."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        mend = f"sudo useradd --system --no-create-home {name}, or name another user in the config"
        return None, [Check("sandbox user", Health.FAIL, f"there is no user {name!r}", mend, "isolation")]
    if entry.pw_uid == 0:
        mend = "name an unprivileged user in the config"
        return None, [Check("sandbox user", Health.FAIL, f"{name} is root", mend, "isolation")]
    person = Person(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return person, [Check("sandbox user", Health.OK, f"{person.name} (uid {person.uid})")]


def _python() -> Check:
    found = f"{platform.python_version()} ({sys.executable})"
    return Check("Python", Health.OK, found)  # an older one than 3.11 cannot have read this file


async def _browser(executable: str, person: Person | None, *, thorough: bool) -> Check:
    try:
        browser = find_chromium(executable, uid=person.uid if person else None)
    except MachineError as error:
        first, *rest = error.message.splitlines()
        return Check("browser", Health.FAIL, first, "\n".join(line.strip() for line in rest))
    where = f"{browser.path} ({browser.found})"
    return await _browser_version(browser, where, person) if thorough else Check("browser", Health.OK, where)


async def _browser_version(browser: BrowserExecutable, where: str, person: Person | None) -> Check:
    status, said = await _trial(_as_person(person), str(browser.path), "--version")
    if status == 0:
        return Check("browser", Health.OK, f"{said.splitlines()[0].strip() if said else 'no version'}, {where}")
    last = said.strip().splitlines()[-1] if said.strip() else f"exit status {status}"
    mend = "it lacks a shared library: sudo python -m playwright install-deps chromium"
    return Check("browser", Health.FAIL, f"{where} does not start: {last}", mend if ".so" in last else SETUP)


def _xvfb(xvfb: str) -> Check:
    if path := shutil.which(xvfb):
        return Check("Xvfb", Health.OK, path)
    mend = f"{SETUP}  (Debian, Ubuntu: sudo apt-get install xvfb)"
    return Check("Xvfb", Health.FAIL, f"{xvfb} was not found", mend, "display")


def _keyboard_data() -> Check:
    compiler, folder = shutil.which("xkbcomp"), Path("/usr/share/X11/xkb")
    if compiler and folder.is_dir():
        return Check("keyboard data", Health.OK, f"{compiler}, {folder}")
    mend = f"{SETUP}  (Debian, Ubuntu: sudo apt-get install x11-xkb-utils xkb-data)"
    return Check("keyboard data", Health.FAIL, "Xvfb cannot start without xkbcomp and its data", mend, "display")


def _system_python() -> Check:
    path = Path("/usr/bin/python3")  # the sandbox holds /usr, but not the folder of a virtual environment's Python
    if os.access(path, os.X_OK):
        return Check("system Python", Health.OK, str(path.resolve()))
    if getattr(sys, "frozen", False):
        return Check("system Python", Health.OK, "not needed: this build brings its own")
    mend = f"{SETUP}  (Debian, Ubuntu: sudo apt-get install python3)"
    return Check("system Python", Health.FAIL, f"the sandbox's helper needs {path}", mend, "isolation")


async def _bubblewrap(bwrap: str, person: Person | None) -> list[Check]:
    path = shutil.which(bwrap)
    if path is None:
        on_mac = platform.system() == "Darwin"
        mend = (
            obstacles.NO_BUBBLEWRAP_ON_MACOS.mend
            if on_mac
            else f"{SETUP}  (Debian, Ubuntu: sudo apt-get install bubblewrap)"
        )
        return [Check("bubblewrap", Health.FAIL, f"{bwrap} was not found", mend, "isolation")]
    status, said = await _trial(_as_person(person), *bubblewrap_trial(path))
    return [Check("bubblewrap", Health.OK, path), namespaces_check(status, obstacles.gather(said))]


def bubblewrap_trial(bwrap: str) -> list[str]:
    """Return the argv of a sandbox like a session's that only makes one more user namespace and changes its root
    there, as Chromium's own sandbox will, and ends with status 0 if all of it was allowed."""
    return [
        bwrap, "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--die-with-parent",
        "--new-session", "--hostname", "chaser", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
        "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
        "--size", "1048576", "--tmpfs", "/tmp", "/usr/bin/unshare", "--user", "--root=/", "/usr/bin/true",
    ]  # fmt: skip


def namespaces_check(status: int, facts: obstacles.Facts) -> Check:
    """Judge the trial by its exit status and the facts of the machine."""
    if status == 0:
        return Check("user namespaces", Health.OK, "a sandbox starts, and Chromium's own inside it")
    obstacle = obstacles.diagnose(facts)
    return Check("user namespaces", Health.FAIL, obstacle.name, obstacle.mend, "isolation")


async def _listen(host: str, port: int, *, may_run: bool) -> Check:
    name, where = "listen address", f"{host}:{port}"
    if port == 0:
        return Check(name, Health.OK, f"{host}, any free port")
    address: tuple[Any, ...] = ()
    try:
        for family, kind, proto, _, address in await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            with socket.socket(family, kind, proto) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
    except PermissionError:
        return Check(name, Health.FAIL, f"{where} needs root", "choose a port above 1023 with --listen")
    except OSError as error:
        if may_run and address and await _is_chaser_server(*address[:2]):
            return Check(name, Health.OK, f"{where}: a chaser-server is already running there")
        holder = holder_of(address[0], port) if address else ""
        found = f"{where} is held by {holder}" if holder else f"{where}: {error.strerror or error}"
        return Check(name, Health.FAIL, found, f"end that program, or choose another address: --listen {host}:0")
    return Check(name, Health.OK, f"{where} is free")


async def _is_chaser_server(host: str, port: int) -> bool:
    """Whether what listens there answers as a server of ours does: in good health, and with a request id."""
    import aiohttp  # only here: the command line is quicker without

    url = f"http://[{host}]:{port}/healthz" if ":" in host else f"http://{host}:{port}/healthz"
    try:
        async with aiohttp.request("GET", url, timeout=aiohttp.ClientTimeout(HEALTH_SECONDS)) as answer:
            is_ours = answer.headers.get("X-Request-Id", "").startswith("req_")
            return is_ours and await answer.json() == {"status": "ok"}
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False


def _standing(path: Path) -> Path:
    """Return the nearest folder at or above `path` that exists."""
    path = path.expanduser().absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _data_dir(data_dir: Path) -> Check:
    standing = _standing(data_dir)
    if standing.is_dir() and os.access(standing, os.W_OK | os.X_OK):
        new = "" if data_dir.is_dir() else " (will be made)"
        return Check("data directory", Health.OK, f"{data_dir}{new}")
    mend = "make it writable for the server's user, or choose another with --data-dir"
    return Check("data directory", Health.FAIL, f"{standing} cannot be written", mend)


def _disk(data_dir: Path, least_bytes: int = GIB) -> Check:
    free = shutil.disk_usage(_standing(data_dir)).free
    found = f"{free / GIB:.1f} GiB free for {data_dir}"
    mend = "" if free >= least_bytes else "make room: a session's profile can take some hundred MiB"
    return Check("disk space", Health.WARN if mend else Health.OK, found, mend)


def _shared_memory(folder: Path = Path("/dev/shm"), least_bytes: int = GIB // 4) -> list[Check]:
    if platform.system() != "Linux":
        return []
    if not os.access(folder, os.W_OK | os.X_OK):
        return [Check("shared memory", Health.WARN, f"{folder} cannot be written", "mount a tmpfs on /dev/shm")]
    size = shutil.disk_usage(folder).total
    mend = "" if size >= least_bytes else "docker run --shm-size=1g, or sudo mount -o remount,size=1G /dev/shm"
    found = f"{size / GIB:.1f} GiB in {folder}"
    return [Check("shared memory", Health.WARN if mend else Health.OK, found, mend)]


def _file_descriptors(least: int = 4096) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "without limit" if hard == resource.RLIM_INFINITY else str(hard)
    enough = hard == resource.RLIM_INFINITY or hard >= least
    mend = "" if enough else "ulimit -Hn 65536, or LimitNOFILE=65536 in the systemd unit"
    return Check("open files", Health.OK if enough else Health.WARN, f"{soft}, may rise to {most}", mend)


def _fonts(folders: Iterable[Path]) -> Check:
    for folder in folders:
        for where, _, files in os.walk(folder):
            if any(file.endswith((".ttf", ".otf", ".ttc", ".pfb")) for file in files):
                return Check("fonts", Health.OK, where)
    mend = f"{SETUP}  (Debian, Ubuntu: sudo apt-get install fonts-liberation)"
    return Check("fonts", Health.WARN, "none, so pages show boxes for letters", mend)


def _as_person(person: Person | None) -> list[str]:
    if person is None:
        return []
    return ["setpriv", "--reuid", str(person.uid), "--regid", str(person.gid), "--clear-groups", "--no-new-privs"]


async def _trial(prefix: list[str], *argv: str) -> tuple[int, str]:
    """Run a program to its end; return its exit status and what it said. 127 when it cannot be run at all."""
    try:
        process = await asyncio.create_subprocess_exec(
            *prefix, *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, cwd="/", env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        )  # fmt: skip
    except OSError as error:
        return 127, f"{[*prefix, *argv][0]}: {error.strerror}"
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TRIAL_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, f"no answer in {TRIAL_SECONDS:.0f} s"
    return process.returncode or 0, output.decode(errors="replace")
