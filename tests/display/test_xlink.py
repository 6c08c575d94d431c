from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest

from chaser_server.display.xlink import Packets, open_link
from chaser_server.errors import LaunchFailed
from tests.screens import Screen

GET_INPUT_FOCUS = struct.pack("=BxH", 43, 1)


def packet(kind: int, extra_words: int = 0) -> bytes:
    return struct.pack("=BxHI", kind, 0, extra_words).ljust(32 + 4 * extra_words, b"\0")


def root_of(connection: Any) -> int:
    return int(connection.setup.roots[0].root)


def test_packets_are_cut_however_they_arrive():
    stream = packet(0) + packet(1, 3) + packet(91) + packet(35, 10) + packet(12 | 0x80)
    whole, piecemeal = Packets(), Packets()
    assert list(whole.feed(stream)) == [0, 1, 91, 35, 12]
    assert [kind for at in range(len(stream)) for kind in piecemeal.feed(stream[at : at + 1])] == [0, 1, 91, 35, 12]


def test_a_packet_that_claims_to_be_huge_is_not_waited_for():
    with pytest.raises(ValueError):
        list(Packets().feed(struct.pack("=BxHI", 1, 0, 0xFFFFFFFF).ljust(32, b"\0")))


async def test_a_request_goes_out_and_its_answer_is_reported(screen: Screen):
    link, root = await open_link(screen.connect(), root_of)
    answered = asyncio.Event()
    link.listen(lambda kind: answered.set() if kind == 1 else None, lambda: None)
    assert root > 0
    assert link.send(GET_INPUT_FOCUS)
    await asyncio.wait_for(answered.wait(), 10)
    link.close()
    link.close()
    assert not link.send(GET_INPUT_FOCUS)


async def test_a_killed_server_is_reported_once_and_raises_nothing(screen: Screen):
    link, _ = await open_link(screen.connect(), root_of)
    lost = asyncio.Event()
    link.listen(lambda kind: None, lost.set)
    screen.process.kill()
    await asyncio.wait_for(lost.wait(), 10)
    assert not link.alive
    assert not link.send(GET_INPUT_FOCUS)


async def test_a_server_that_stops_reading_takes_no_more_and_holds_up_nobody(screen: Screen):
    link, _ = await open_link(screen.connect(), root_of)
    screen.process.send_signal(19)  # SIGSTOP
    sent = 0
    while link.send(GET_INPUT_FOCUS * 64):
        sent += 1
        assert sent < 100_000
    assert link.alive
    screen.process.send_signal(18)  # SIGCONT
    link.close()


async def test_a_hung_server_is_given_up(screen: Screen):
    screen.process.send_signal(19)
    with pytest.raises(LaunchFailed, match="did not answer"):
        await open_link(screen.connect(), root_of, timeout_seconds=0.05)
    screen.process.send_signal(18)


async def test_what_is_no_x_server_is_refused_and_the_socket_closed():
    ours, theirs = socket.socketpair()
    theirs.sendall(bytes(64))
    theirs.close()
    with pytest.raises(LaunchFailed, match="cannot be used"):
        await open_link(ours, root_of)
    assert ours.fileno() == -1


async def test_a_preparation_that_fails_closes_the_socket(screen: Screen):
    sock = screen.connect()

    def fail(connection: Any) -> None:
        raise RuntimeError("no such extension")

    with pytest.raises(LaunchFailed, match="no such extension"):
        await open_link(sock, fail)
    assert sock.fileno() == -1
