"""One session's process tree: started, asked for sockets, watched, and ended with nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chaser_server.errors import LaunchFailed
from chaser_server.sandbox import bubblewrap, bundle, priority
from chaser_server.sandbox.channel import Channel, readable
from chaser_server.sandbox.tail import Tail

DOORMAN = Path(__file__).with_name("doorman.py")
SCRATCH_PREFIX = "chaser-session-"
_DEVTOOLS_PORT = 9222  # inside its own network namespace every session may use the same
_EGRESS_PORT = 3128
_GIVE_WAY_SECONDS = 0.5
"""How long what dies lets those go first that live: its death is some 30 ms of work for the processors."""
_KILL_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Walls:
    """How a sandbox is built on this machine. `isolated` False means none at all: the operator chose so.

    The doorman runs on `python`, or is the program in `doorman_folder` where there is one.
    """

    isolated: bool
    bwrap: str
    python: str
    user: str
    scratch_max_bytes: int
    doorman_folder: str | None = None

    def doorman_argv(self, *words: str) -> list[str]:
        """The command that runs the doorman."""
        if self.doorman_folder is not None:
            return [f"{bundle.INSIDE if self.isolated else self.doorman_folder}/{bundle.PROGRAM}", *words]
        return [self.python, "-I", "-S", bubblewrap.DOORMAN_PATH if self.isolated else str(DOORMAN), *words]

    def outer_user(self) -> tuple[int, int] | None:
        """The uid and gid to run under: of the configured user when the server is root, else None for its own.

        Without a sandbox it is always the server's own, since that user must own the display's socket directory.
        """
        if os.geteuid() != 0 or not self.isolated:
            return None
        entry = pwd.getpwuid(int(self.user)) if self.user.isdecimal() else pwd.getpwnam(self.user)
        return entry.pw_uid, entry.pw_gid


@dataclass(frozen=True, slots=True)
class Places:
    """Directories that a session's programs may write to, as they see them."""

    home: str
    framebuffer: str


@dataclass(frozen=True, slots=True)
class Program:
    """What runs inside. The browser's arguments may hold `{devtools_port}` and `{egress_port}`.

    `display_takes_socket`: the display server takes a socket that already listens, see sd_listen_fds(3).
    """

    browser: Sequence[str]
    display: Sequence[str] | None
    environment: Mapping[str, str]
    read_only: Sequence[str] = ()
    display_takes_socket: bool = False


class Sandbox:
    """A running session's processes. Its owner calls `kill` in the end, also when the browser went by itself."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, scratch: str | None) -> None:
        self._process = process
        self._channel = channel
        self._scratch = scratch
        self._inner_pid: int | None = None
        self._stderr = Tail()
        self._exit = asyncio.create_task(process.wait(), name=f"sandbox-exit-{process.pid}")

    @property
    def pid(self) -> int:
        """The process id of the outermost process, on the host."""
        return self._process.pid

    @property
    def stderr_tail(self) -> str:
        """The last lines that the programs inside wrote."""
        return self._stderr.text

    async def exited(self) -> int:
        """Wait until the processes are gone, by themselves or by a kill: the exit code, 128 + N for signal N."""
        code = await asyncio.shield(self._exit)
        return code if code >= 0 else 128 - code

    async def ask(self, want: str) -> tuple[int, int]:
        """A descriptor from inside, which is then the caller's to close, and the port that belongs to it (or 0).

        Raises `LaunchFailed` with the programs' last words when the sandbox has no answer.
        """
        try:
            answer = await self._channel.ask(want)
        except (OSError, ValueError) as error:
            raise await self._refusal(f"no {want} from the sandbox: {error}") from error
        if answer.descriptor is None:
            why = answer.words.get("error", "the browser did not start")
            raise await self._refusal(f"no {want} from the sandbox: {why}")
        port = answer.words.get("port", 0)
        return answer.descriptor, port if isinstance(port, int) else 0

    async def step_forward(self) -> None:
        """Have the same right to the processor as others, after a start in the background."""
        while not priority.set_group_nice(self._inner_pid or self.pid, priority.NORMAL):
            await asyncio.sleep(priority.AGAIN_SECONDS)

    async def kill(self) -> None:
        """End every process of the session and wait until they are gone; may be called again."""
        pid = self._inner_pid or self.pid
        if not self._exit.done():
            priority.give_way(pid)
        self._channel.close()
        if self._inner_pid is None and self._scratch is None:
            _kill_group(self._process)
        if self._inner_pid is not None and not self._exit.done():
            # The init of the sandbox's PID namespace: all in it go too, and bwrap stays alive to reap it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._inner_pid, signal.SIGKILL)
        if not await self._gone_within(_GIVE_WAY_SECONDS):  # somebody may wait for its place
            priority.set_group_nice(pid, priority.NORMAL)
            if not await self._gone_within(_KILL_SECONDS):
                _kill_group(self._process)
                await self.exited()
        self._stderr.close()
        if self._scratch:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _gone_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.exited(), seconds)
        return self._exit.done()

    async def _begin(self, stderr: int, info: int | None, plan: Mapping[str, object]) -> None:
        """Listen to what the programs say, learn the pid of the sandbox's init, and tell the doorman what to run."""
        with ExitStack() as undo:
            if info is not None:
                undo.callback(os.close, info)
            await asyncio.get_running_loop().connect_read_pipe(lambda: self._stderr, os.fdopen(stderr, "rb", 0))
            if info is not None:
                information = await _read_all(info)
                if not information:
                    raise await self._refusal("bubblewrap could not build the sandbox")
                self._inner_pid = int(json.loads(information)["child-pid"])
        try:
            await self._channel.tell(plan)
        except OSError as error:
            raise await self._refusal("the sandbox ended before it began") from error

    async def _refusal(self, what: str) -> LaunchFailed:
        """A launch that failed at once, with what was said about it."""
        await self._stderr.wait_ended(_LAST_WORDS_SECONDS)
        said = self.stderr_tail.strip().rpartition("\n")[2]
        return LaunchFailed(f"{what}: {said}" if said else what, stderr_tail=self.stderr_tail)


async def start(
    program_for: Callable[[Places], Program], walls: Walls, *, name: str, in_background: bool = False
) -> Sandbox:
    """Start a session's processes.

    `program_for` makes the program once the writable places are known. `name` stands in the command line and in the
    name of the directory, if there is one, so that `orphans.clean_up` can find them. `in_background` leaves the
    processor to others until `Sandbox.step_forward`, which may be called once something has been asked for.

    Returns as soon as the outermost process runs; whether the browser comes up is learnt by `Sandbox.ask`. Raises
    `LaunchFailed`, leaving nothing behind.
    """
    scratch = None if walls.isolated else tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}{name}-")
    places = Places(home=scratch or bubblewrap.HOME, framebuffer=f"{scratch or '/tmp'}/framebuffer")
    with ExitStack() as undo, ExitStack() as passed_on:
        if scratch:
            undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        channel, theirs = socket.socketpair()
        channel.setblocking(False)
        undo.callback(channel.close)
        passed_on.callback(theirs.close)
        stderr_reader, stderr_writer = _pipe(undo, passed_on)
        info_reader, info_writer = _pipe(undo, passed_on) if walls.isolated else (None, None)
        try:
            program = program_for(places)
            command = walls.doorman_argv(str(theirs.fileno()), name)
            inherited = [theirs.fileno()]
            if info_writer is not None:
                descriptors = _files_inside(passed_on, info_writer)
                command = _isolated(command, program, walls, descriptors)
                inherited += descriptors.all()
            starting = asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stderr_writer,
                stderr=stderr_writer,
                env=dict(program.environment),
                pass_fds=inherited,
                start_new_session=True,
            )
            process = await _started(asyncio.create_task(starting, name="sandbox-start"))
        except (OSError, KeyError) as error:
            raise LaunchFailed(f"cannot start the sandbox: {error}") from error
        undo.pop_all()
    sandbox = Sandbox(process, Channel(channel), scratch)
    try:
        await sandbox._begin(stderr_reader, info_reader, _plan(program, places, scratch, in_background))
    except BaseException:
        await sandbox.kill()
        raise
    return sandbox


async def _started(starting: asyncio.Task[asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """The process that is being started. A cancelled wait ends it with all it has forked already."""
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        _kill_group(process)
        await process.wait()
        raise


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a process and its group. While bwrap builds a sandbox, its child waits for it and would wait for ever."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _isolated(command: Sequence[str], program: Program, walls: Walls, descriptors: bubblewrap.Descriptors) -> list[str]:
    """`command` inside bubblewrap, and that as an ordinary user when the server is root."""
    user = walls.outer_user()
    return [
        *([] if user is None else bubblewrap.drop_privileges_argv(*user)),
        *bubblewrap.bwrap_argv(
            bwrap=walls.bwrap,
            descriptors=descriptors,
            environment=program.environment,
            read_only=program.read_only,
            binds=() if walls.doorman_folder is None else ((walls.doorman_folder, bundle.INSIDE),),
            scratch_max_bytes=walls.scratch_max_bytes,
            command=command,
        ),
    ]


def _plan(program: Program, places: Places, scratch: str | None, in_background: bool) -> dict[str, object]:
    """What the doorman is told. Outside a sandbox ports are shared with the machine, so it picks free ones (0)."""
    return {
        "browser": list(program.browser),
        "display": None if program.display is None else list(program.display),
        "display_takes_socket": program.display_takes_socket,
        "framebuffer_dir": places.framebuffer,
        "in_background": in_background,
        "devtools_port": 0 if scratch else _DEVTOOLS_PORT,
        "egress_port": 0 if scratch else _EGRESS_PORT,
        "remove": scratch,
    }


def _pipe(undo: ExitStack, passed_on: ExitStack) -> tuple[int, int]:
    """A pipe whose reading end stays ours and whose writing end goes to the child."""
    reader, writer = os.pipe()
    undo.callback(os.close, reader)
    passed_on.callback(os.close, writer)
    return reader, writer


def _files_inside(passed_on: ExitStack, info: int) -> bubblewrap.Descriptors:
    """Anonymous files with what bwrap writes into the sandbox's /etc and /run."""

    def file(content: bytes) -> int:
        descriptor = os.memfd_create("chaser")
        passed_on.callback(os.close, descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    return bubblewrap.Descriptors(
        doorman=file(DOORMAN.read_bytes()),
        passwd=file(bubblewrap.PASSWD),
        group=file(bubblewrap.GROUP),
        hosts=file(bubblewrap.HOSTS),
        info=info,
    )


async def _read_all(pipe: int) -> bytes:
    """What comes out of a pipe up to its end. No thread: one that waits here could not be cancelled."""
    data = b""
    while True:
        await readable(pipe)
        part = os.read(pipe, 4096)
        if not part:
            return data
        data += part
