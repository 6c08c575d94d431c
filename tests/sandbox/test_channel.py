"""The doorman's socket with somebody at its other end who says what he likes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from chaser_server.sandbox.channel import Answer, Channel


class Doorman:
    """The other end, by hand."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        for sock in (ours, self.sock):
            sock.setblocking(False)
        self.channel = Channel(ours)

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 100)

    def give(self, line: bytes, *files: int) -> None:
        socket.send_fds(self.sock, [line], files)
        for file in files:
            os.close(file)


@pytest.fixture
async def doorman() -> AsyncIterator[Doorman]:
    made = Doorman()
    yield made
    made.channel.close()
    made.sock.close()


def new_file(name: str) -> int:
    return os.memfd_create(name)


def name_of(answer: Answer) -> str:
    assert answer.descriptor is not None
    name = os.readlink(f"/proc/self/fd/{answer.descriptor}")
    os.close(answer.descriptor)
    return name.removeprefix("/memfd:").removesuffix(" (deleted)")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_an_answer_to_somebody_who_left_is_not_given_to_the_next(doorman: Doorman) -> None:
    before = descriptors()
    first = asyncio.create_task(doorman.channel.ask("framebuffer"))
    assert await doorman.hear() == b'{"want": "framebuffer"}\n'
    first.cancel()
    second = asyncio.create_task(doorman.channel.ask("devtools"))
    await asyncio.wait([first])
    doorman.give(b"{}\n", new_file("for the first"))
    assert await doorman.hear() == b'{"want": "devtools"}\n'
    doorman.give(b"{}\n", new_file("for the second"))
    assert name_of(await second) == "for the second"
    assert descriptors() == before


@pytest.mark.parametrize("line", [b"no JSON\n", b"[" * 4000 + b"\n", b"x" * 5000])
async def test_what_is_no_answer_leaves_no_descriptor_behind(doorman: Doorman, line: bytes) -> None:
    before = descriptors()
    asking = asyncio.create_task(doorman.channel.ask("devtools"))
    await doorman.hear()
    doorman.give(line, new_file("one"))
    with pytest.raises(ValueError):
        await asking
    assert descriptors() == before


async def test_more_than_one_descriptor_is_none(doorman: Doorman) -> None:
    before = descriptors()
    asking = asyncio.create_task(doorman.channel.ask("devtools"))
    await doorman.hear()
    doorman.give(b"{}\n", new_file("one"), new_file("two"))
    with pytest.raises(ValueError, match="more than an answer"):
        await asking
    assert descriptors() == before


async def test_whoever_waits_when_it_is_closed_waits_no_longer(doorman: Doorman) -> None:
    first, second = (asyncio.create_task(doorman.channel.ask("devtools")) for _ in range(2))
    await doorman.hear()
    doorman.channel.close()
    doorman.channel.close()
    assert await asyncio.wait_for(first, 10) == Answer({}, None)
    with pytest.raises(OSError, match="being ended"):
        await asyncio.wait_for(second, 10)
    assert await doorman.hear() == b""
