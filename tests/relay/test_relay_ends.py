from __future__ import annotations

import asyncio
import gc
import socket

import pytest
from relay_peers import Browser, Door, frame, masked, open_descriptors

from chaser_server.relay.frames import close_frame, ping_frame

MEGABYTE = 1024 * 1024


async def test_a_client_that_leaves_takes_the_upstream_with_it_and_its_last_words_arrive(
    door: Door, browser: Browser
) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    await client.send(masked(b"last words") + masked(b"\x03\xe8", 8))
    client.leave()
    assert await peer.take_rest() == masked(b"last words") + masked(b"\x03\xe8", 8)
    peer.leave()
    await relay.wait_closed()


async def test_a_client_that_is_reset_takes_the_upstream_with_it(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    client.reset()
    assert await peer.take_rest() == b""
    await (await door.relays.get()).wait_closed()


async def test_a_browser_that_just_ends_is_explained_by_the_owner(door: Door, browser: Browser) -> None:
    client = await door.connect()
    relay = await door.relays.get()
    peer = await browser.connections.get()
    await peer.send(frame(b"bye"))
    peer.leave()
    assert await client.take_frame() == (1, b"bye")
    relay.close(1001, "substrate_down")
    assert await client.take_close() == (1001, "substrate_down")
    assert await client.take_rest() == b""
    client.leave()
    await relay.wait_closed()


@pytest.mark.parametrize("way", ["leave", "reset"])
async def test_a_browser_that_ends_unexplained_closes_with_1001(door: Door, browser: Browser, way: str) -> None:
    client = await door.connect()
    getattr(await browser.connections.get(), way)()
    assert await client.take_close() == (1001, "browser connection lost")
    assert await client.take_rest() == b""


async def test_a_client_that_leaves_while_the_reason_is_awaited_ends_the_relay(door: Door, browser: Browser) -> None:
    client = await door.connect()
    relay = await door.relays.get()
    (await browser.connections.get()).leave()
    client.leave()
    await relay.wait_closed()
    relay.close(1001, "too late")


async def test_a_close_frame_of_the_browsers_own_is_the_last(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    await peer.send(close_frame(1000, "its own"))
    assert await client.take_close() == (1000, "its own")
    (await door.relays.get()).close(1001, "ours")
    assert await client.take_rest() == b""


async def test_a_browser_that_ends_within_a_frame_cuts_the_client(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    await peer.send(frame(b"x" * 1000)[:500])
    assert await client.take(500) == frame(b"x" * 1000)[:500]
    peer.leave()
    assert await client.take_rest() == b""


async def test_a_goodbye_waits_for_the_end_of_the_frame_and_takes_the_place_of_the_next(
    door: Door, browser: Browser
) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    await peer.send(frame(b"x" * 1000)[:500])
    assert await client.take(500) == frame(b"x" * 1000)[:500]
    relay.close(1001, "ttl_expired")
    relay.close(1001, "never said")
    await peer.send(frame(b"x" * 1000)[500:] + frame(b"never seen"))
    assert await client.take(504) == frame(b"x" * 1000)[500:]
    assert await client.take_close() == (1001, "ttl_expired")
    assert await client.take_rest() == b""
    client.leave()
    await relay.wait_closed()


async def test_a_goodbye_in_the_midst_of_a_message_of_50_megabytes_comes_behind_it(
    door: Door, browser: Browser
) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    payload = bytes(50 * MEGABYTE)
    sending = asyncio.create_task(peer.send(frame(payload)))
    head = await client.take(MEGABYTE)
    relay.close(1001, "client_delete")
    rest = await client.take(len(frame(payload)) - MEGABYTE)
    assert head + rest == frame(payload)
    assert await client.take_close() == (1001, "client_delete")
    await sending


async def test_a_client_that_does_not_take_the_goodbye_is_cut(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    client.writer.transport.pause_reading()
    sending = asyncio.create_task(peer.take_rest())
    peer.writer.write(frame(bytes(50 * MEGABYTE)))
    relay.close(1001, "ttl_expired")
    await relay.wait_closed()
    await sending


async def test_a_client_that_sends_on_through_the_goodbye_still_reads_it(door: Door, browser: Browser) -> None:
    client = await door.connect()
    await browser.connections.get()
    relay = await door.relays.get()
    client.writer.write(masked(bytes(4 * MEGABYTE)))
    relay.close(1001, "ttl_expired")
    await client.writer.drain()
    assert await client.take_close() == (1001, "ttl_expired")
    assert await client.take_rest() == b""
    client.leave()
    await relay.wait_closed()
    assert door.count.up == len(masked(bytes(4 * MEGABYTE)))


async def test_pings_stand_only_between_frames(door: Door, browser: Browser) -> None:
    door.ping_seconds = 0.002
    client = await door.connect()
    peer = await browser.connections.get()

    async def send() -> None:
        for number in range(300):
            whole = frame(b"%d" % number + bytes(number * 7))
            await peer.send(whole[:number])
            await asyncio.sleep(0)
            await peer.send(whole[number:])

    sending = asyncio.create_task(send())
    seen, pings = [], 0
    while len(seen) < 300 or pings < 3:
        opcode, payload = await client.take_frame()
        if opcode == 9:
            pings += 1
        else:
            seen.append(payload)
    assert seen == [b"%d" % number + bytes(number * 7) for number in range(300)]
    await sending


async def test_no_ping_comes_within_a_frame(door: Door, browser: Browser) -> None:
    door.ping_seconds = 0.001
    client = await door.connect()
    peer = await browser.connections.get()
    assert await client.take(2) == ping_frame()
    await peer.send(frame(b"x" * 1000)[:10])
    while (await client.take(2)) == ping_frame():
        pass
    await client.take(8)
    before = door.count.down
    due = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, due.set_result, None)
    await due
    assert door.count.down == before
    await peer.send(frame(b"x" * 1000)[10:])
    assert await client.take(994) == frame(b"x" * 1000)[10:]
    assert await client.take(2) == ping_frame()


async def test_a_browser_that_does_not_read_stops_the_client(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    peer.writer.transport.pause_reading()
    payload = masked(bytes(50 * MEGABYTE))
    sending = asyncio.create_task(client.send(payload))
    while relay._client.is_reading():
        await asyncio.sleep(0)
    assert relay._upstream.get_write_buffer_size() < MEGABYTE
    peer.writer.transport.resume_reading()
    assert await peer.take(len(payload)) == payload
    await sending


async def test_a_client_that_does_not_read_stops_the_browser(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    client.writer.transport.pause_reading()
    payload = bytes(50 * MEGABYTE)
    sending = asyncio.create_task(peer.send(frame(payload)))
    while relay._upstream.is_reading():
        await asyncio.sleep(0)
    assert relay._client.get_write_buffer_size() < MEGABYTE
    client.writer.transport.resume_reading()
    assert await client.take_frame() == (1, payload)
    await sending


async def test_several_clients_have_each_their_own_connection(door: Door, browser: Browser) -> None:
    clients = [await door.connect() for _ in range(5)]
    peers = [await browser.connections.get() for _ in clients]
    for number, client in enumerate(clients):
        await client.send(masked(b"%d" % number))
    for peer in peers:
        text = (await peer.take(7))[-1:]
        await peer.send(frame(b"you are " + text))
    for number, client in enumerate(clients):
        assert await client.take_frame() == (1, b"you are %d" % number)
    clients[0].leave()
    await clients[1].send(masked(b"x"))
    assert await peers[1].take(7) == masked(b"x")


async def test_an_aborted_relay_ends_both_sides(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    relay.abort()
    await relay.wait_closed()
    assert await client.take_rest() == b""
    assert await peer.take_rest() == b""


async def test_a_cancelled_handler_cuts_both_sides(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    await door.relays.get()
    (handler,) = door.handlers
    handler.cancel()
    assert await client.take_rest() == b""
    assert await peer.take_rest() == b""


async def test_the_server_shuts_down_at_once_when_its_relays_are_closed(door: Door, browser: Browser) -> None:
    clients = [await door.connect() for _ in range(3)]
    clients[0].reset()
    relays = [await door.relays.get() for _ in clients]
    for relay in relays:
        relay.close(1001, "abandoned_orphan")
    for client in clients[1:]:
        assert await client.take_close() == (1001, "abandoned_orphan")
        client.leave()
    for relay in relays:
        await relay.wait_closed()
    assert door.runner.server is not None
    async with asyncio.timeout(3):
        while door.runner.server.connections:
            await asyncio.sleep(0)
        await door.runner.cleanup()
    assert not door.handlers


async def test_nothing_is_held_open_behind_a_relay(door: Door, browser: Browser) -> None:
    before = open_descriptors()
    client = await door.connect()
    peer = await browser.connections.get()
    relay = await door.relays.get()
    client.leave()
    await peer.take_rest()
    peer.leave()
    await relay.wait_closed()
    await client.writer.wait_closed()
    await peer.writer.wait_closed()
    del client, peer, relay
    gc.collect()
    while open_descriptors() - before:
        await asyncio.sleep(0)


async def test_the_clients_socket_finds_half_open_peers(door: Door) -> None:
    await door.connect()
    sock = (await door.relays.get())._client.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
