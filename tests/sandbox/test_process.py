"""A real sandbox around a small program: its sockets come out, its words are kept, and nothing of it is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chaser_server.display.window_manager import WindowManager
from chaser_server.display.xvfb import xvfb_argv
from chaser_server.errors import LaunchFailed
from chaser_server.sandbox import orphans, priority, process
from chaser_server.sandbox.process import Places, Program, Sandbox, Walls, start
from tests.processes import command_of, descendants, until

NAME = f"chaser-test-{os.getpid()}"
LISTENING = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    shadow = os.path.exists("/etc/shadow")
    client.sendall(f"uid {os.getuid()} home {os.listdir(sys.argv[2])} shadow {shadow}".encode())
    client.close()
"""
CALLING = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as way_out:
    way_out.sendall(b"let me out")
time.sleep(600)
"""


def walls(*, isolated: bool = True, bwrap: str = "bwrap") -> Walls:
    return Walls(isolated=isolated, bwrap=bwrap, python="/usr/bin/python3", user="nobody", scratch_max_bytes=64 << 20)


def program(*browser: str) -> Callable[[Places], Program]:
    environment = {"PATH": "/usr/bin:/bin"}
    return lambda places: Program([text.replace("HOME", places.home) for text in browser], None, environment)


def script(text: str, *arguments: str) -> Callable[[Places], Program]:
    """A program that the doorman's own `format` leaves as it is."""
    return program("/usr/bin/python3", "-c", text.replace("{", "{{").replace("}", "}}"), *arguments)


async def connected(sandbox: Sandbox, want: str) -> socket.socket:
    """A connected socket from inside."""
    descriptor, _ = await asyncio.wait_for(sandbox.ask(want), 10)
    return socket.socket(fileno=descriptor)


async def said(descriptor: int) -> bytes:
    """What comes out of a connected socket up to its end."""
    with socket.socket(fileno=descriptor) as sock:
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock)
        text = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return text


def processes_named(name: str) -> list[str]:
    commands = (command_of(int(entry.name)) for entry in Path("/proc").glob("[0-9]*"))
    return [command for command in commands if name in command]


def left() -> tuple[int, set[str]]:
    """Open descriptors of this process, and directories of sandboxes named `NAME`."""
    return len(os.listdir("/proc/self/fd")), {path.name for path in Path(tempfile.gettempdir()).glob(f"*{NAME}*")}


async def gone(sandbox: Sandbox, before: tuple[int, set[str]]) -> None:
    """End a sandbox and check that all of it has gone."""
    inside = descendants(sandbox.pid)
    await sandbox.kill()
    assert [each.command for each in inside if each.lives] == []
    await until(lambda: left() == before, f"all as before: {before}")


@pytest.mark.parametrize("isolated", [True, False])
async def test_a_connection_to_a_listener_inside_comes_out_as_a_descriptor(isolated: bool) -> None:
    await asyncio.to_thread(int)  # the loop's own descriptors are open
    before = left()
    sandbox = await start(script(LISTENING, "{devtools_port}", "HOME"), walls(isolated=isolated), name=NAME)
    for _ in range(2):
        descriptor, port = await asyncio.wait_for(sandbox.ask("devtools"), 10)
        text = await said(descriptor)
        if isolated:
            assert port == 9222
            assert text == b"uid 1000 home [] shadow False"
        else:
            assert text.startswith(f"uid {os.getuid()} home".encode())
    await gone(sandbox, before)


async def test_the_only_way_out_is_the_listener_that_was_handed_out() -> None:
    before = left()
    sandbox = await start(script(CALLING, "3128"), walls(), name=NAME)
    descriptor, port = await asyncio.wait_for(sandbox.ask("egress"), 10)
    assert port == 3128
    with socket.socket(fileno=descriptor) as listener:
        listener.setblocking(False)
        client, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(listener), 10)
        with client:
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"let me out"
    await gone(sandbox, before)


async def test_a_program_that_is_missing_is_named_and_nothing_is_left() -> None:
    before = left()
    sandbox = await start(program("/usr/bin/no-such-browser"), walls(), name=NAME)
    with pytest.raises(LaunchFailed, match="no-such-browser") as failed:
        await asyncio.wait_for(sandbox.ask("devtools"), 10)
    assert "No such file or directory" in failed.value.stderr_tail
    await gone(sandbox, before)


def nice_of(pid: int) -> int:
    """The nice value of a process's autogroup; see sched(7)."""
    return int(Path(f"/proc/{pid}/autogroup").read_text().split()[-1])


@pytest.mark.parametrize("isolated", [True, False])
async def test_what_starts_in_the_background_leaves_the_processor_to_others_from_its_first_moment(
    isolated: bool,
) -> None:
    before = left()
    sandbox = await start(program("/bin/sleep", "600"), walls(isolated=isolated), name=NAME, in_background=True)
    os.close((await sandbox.ask("egress"))[0])
    assert {nice_of(each.pid) for each in descendants(sandbox.pid)} == {19}
    await sandbox.step_forward()
    assert {nice_of(each.pid) for each in descendants(sandbox.pid)} == {0}
    await gone(sandbox, before)


@pytest.mark.parametrize("isolated", [True, False])
async def test_what_dies_lets_those_go_first_that_live_but_not_for_long(
    isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left()
    sandbox = await start(program("/bin/sleep", "600"), walls(isolated=isolated), name=NAME)
    os.close((await sandbox.ask("egress"))[0])
    set_nice, seen = priority.set_group_nice, []

    def set_and_look(pid: int, nice: int) -> bool:
        done = set_nice(pid, nice)
        seen.append({nice_of(each.pid) for each in descendants(sandbox.pid) if each.lives})
        return done

    monkeypatch.setattr(priority, "set_group_nice", set_and_look)
    monkeypatch.setattr(process, "_GIVE_WAY_SECONDS", 0)
    await gone(sandbox, before)
    dying = [{priority.DYING}] if os.geteuid() == 0 else []
    assert seen[:-1] == dying
    assert seen[-1] <= {priority.NORMAL}


@pytest.mark.parametrize("takes_socket", [True, False])
@pytest.mark.parametrize("isolated", [True, False])
async def test_a_display_answers_whether_or_not_its_server_takes_a_socket(isolated: bool, takes_socket: bool) -> None:
    before = left()

    def with_display(places: Places) -> Program:
        display = xvfb_argv(320, 240, framebuffer_dir=places.framebuffer)
        environment = {"PATH": "/usr/bin:/bin"}
        return Program(["/bin/sleep", "600"], display, environment, display_takes_socket=takes_socket)

    sandbox = await start(with_display, walls(isolated=isolated), name=NAME)
    manager = await WindowManager.start(await connected(sandbox, "display"))
    manager.close()
    await manager.wait_ended()
    os.close((await sandbox.ask("framebuffer"))[0])
    await gone(sandbox, before)


async def test_a_session_inherits_nothing_of_another_and_no_program_inside_the_doormans_channel() -> None:
    before = left()

    def with_display(places: Places) -> Program:
        display = xvfb_argv(320, 240, framebuffer_dir=places.framebuffer)
        program = ["/usr/bin/python3", "-c", LISTENING, "9222", places.home]
        escaped = [text.replace("{", "{{").replace("}", "}}") for text in program]
        return Program(escaped, display, {"PATH": "/usr/bin:/bin"}, display_takes_socket=True)

    first = await start(with_display, walls(), name=NAME)
    kept = [
        (await asyncio.wait_for(first.ask(want), 10))[0] for want in ("egress", "devtools", "display", "framebuffer")
    ]
    assert not any(os.get_inheritable(descriptor) for descriptor in kept)
    second = await start(with_display, walls(), name=NAME)
    kept += [(await asyncio.wait_for(second.ask(want), 10))[0] for want in ("devtools", "display")]
    theirs = [opened_by(sandbox) for sandbox in (first, second)]
    assert not theirs[0] & theirs[1]
    for sandbox in (first, second):
        for inside in descendants(sandbox.pid):
            if "Xvfb" in inside.command or "create_server" in inside.command:
                assert len(opened_in(inside.pid)) < 12, inside.command
    for descriptor in kept:
        os.close(descriptor)
    await second.kill()
    await gone(first, before)


def opened_by(sandbox: Sandbox) -> set[str]:
    """Sockets and pipes that processes inside hold, by their numbers of the kernel's."""
    links: set[str] = set()
    for inside in descendants(sandbox.pid):
        for number in opened_in(inside.pid):
            with contextlib.suppress(FileNotFoundError):
                links.add(os.readlink(f"/proc/{inside.pid}/fd/{number}"))
    return {link for link in links if link.startswith(("socket:", "pipe:"))}


def opened_in(pid: int) -> list[str]:
    """The descriptors of a process; none when it has ended, as what Xvfb starts to compile its keymap soon does."""
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except FileNotFoundError:
        return []


async def test_a_display_that_does_not_start_is_named_and_nothing_is_left() -> None:
    before = left()
    broken = Program(["/bin/sleep", "600"], ["Xvfb", "-nonsense"], {"PATH": "/usr/bin:/bin"}, display_takes_socket=True)
    sandbox = await start(lambda _: broken, walls(), name=NAME)
    with pytest.raises(LaunchFailed, match="X server"):
        await WindowManager.start(await connected(sandbox, "display"))
    await gone(sandbox, before)
    assert "nonsense" in sandbox.stderr_tail


async def test_a_program_that_ends_leaves_its_exit_code_and_last_words() -> None:
    before = left()
    sandbox = await start(program("/bin/sh", "-c", "echo last words >&2; exit 7"), walls(), name=NAME)
    assert await asyncio.wait_for(sandbox.exited(), 10) == 7
    with pytest.raises(LaunchFailed, match="last words"):
        await sandbox.ask("devtools")
    await gone(sandbox, before)


async def test_a_program_that_is_killed_has_the_code_of_its_signal() -> None:
    before = left()
    sandbox = await start(program("/bin/sh", "-c", "kill -SEGV $$"), walls(), name=NAME)
    assert await asyncio.wait_for(sandbox.exited(), 10) == 128 + 11
    await gone(sandbox, before)


@pytest.mark.parametrize("bwrap", ["/nowhere/bwrap", "/usr/bin/false"])
async def test_a_sandbox_that_cannot_be_built_leaves_nothing(bwrap: str) -> None:
    before = left()
    with pytest.raises(LaunchFailed, match="sandbox"):
        await asyncio.wait_for(start(program("/bin/true"), walls(bwrap=bwrap), name=NAME), 10)
    await until(lambda: left() == before, f"all as before: {before}")


async def test_killing_twice_is_killing_once() -> None:
    before = left()
    sandbox = await start(program("/bin/sleep", "600"), walls(), name=NAME)
    await asyncio.gather(sandbox.kill(), sandbox.kill())
    await gone(sandbox, before)


@pytest.mark.parametrize("isolated", [True, False])
async def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing(isolated: bool) -> None:
    before = left()
    for steps in range(12):
        starting = asyncio.create_task(start(program("/bin/sleep", "600"), walls(isolated=isolated), name=NAME))
        for _ in range(steps):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])
        if not starting.cancelled():
            await starting.result().kill()
    await until(lambda: left() == before, f"all as before: {before}")
    await until(lambda: not processes_named(NAME), "no process of that name")


@pytest.mark.parametrize("isolated", [True, False])
async def test_orphans_are_found_by_their_name_and_are_gone_when_that_returns(isolated: bool) -> None:
    # As a browser does, it names its directory.
    sandbox = await start(script(LISTENING, "{devtools_port}", "HOME"), walls(isolated=isolated), name=NAME)
    os.close((await sandbox.ask("devtools"))[0])
    living = descendants(sandbox.pid)
    assert living
    assert await asyncio.to_thread(orphans.clean_up, f"{NAME}-another") == 0
    assert await asyncio.to_thread(orphans.clean_up, NAME) >= 1
    await until(lambda: not any(each.lives for each in living), "all inside are gone")
    assert left()[1] == set()
    await sandbox.kill()
