from __future__ import annotations

import asyncio

import pytest
from relay_peers import KEY, SWITCHING, UPGRADE, Browser, Door, frame, masked

from chaser_server.errors import InvalidRequest
from chaser_server.relay.splice import UpgradeRefused

MEGABYTE = 1024 * 1024


async def test_bytes_pass_both_ways_as_they_are(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    await client.send(masked(b'{"id":1}'))
    assert await peer.take(14) == masked(b'{"id":1}')
    await peer.send(frame(b'{"id":1,"result":{}}'))
    assert await client.take_frame() == (1, b'{"id":1,"result":{}}')


async def test_the_browser_is_asked_with_our_own_head(door: Door, browser: Browser) -> None:
    secrets = "Origin: https://evil.test\r\nCookie: a=b\r\nAuthorization: Bearer k\r\n"
    offers = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: cdp\r\n"
    await door.connect(headers=secrets + offers)
    peer = await browser.connections.get()
    assert peer.head.decode().split("\r\n") == [
        "GET /devtools/browser/1 HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        "",
        "",
    ]


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_what_a_client_sends_behind_its_head_before_the_101_is_not_lost(
    door: Door, browser: Browser, size: int
) -> None:
    browser.answer = None
    client = await door.dial_client()
    sending = asyncio.create_task(client.send(f"{UPGRADE}\r\n".encode() + masked(bytes(size))))
    peer = await browser.connections.get()
    while size > 256 * 1024 and door.transports[0].is_reading():  # aiohttp holds back what nobody takes
        await asyncio.sleep(0)
    await peer.send(SWITCHING)
    assert await peer.take(len(masked(bytes(size)))) == masked(bytes(size))
    await sending


async def test_what_the_browser_sends_right_behind_its_101_is_not_lost(door: Door, browser: Browser) -> None:
    browser.answer = SWITCHING + frame(b"early")
    client = await door.connect()
    assert client.head == SWITCHING
    assert await client.take_frame() == (1, b"early")


async def test_a_message_of_50_megabytes_passes(door: Door, browser: Browser) -> None:
    client = await door.connect()
    peer = await browser.connections.get()
    payload = bytes(range(256)) * (50 * MEGABYTE // 256)
    sending = asyncio.create_task(peer.send(frame(payload)))
    assert await client.take_frame() == (1, payload)
    await sending


async def test_every_byte_of_the_clients_socket_is_counted(door: Door, browser: Browser) -> None:
    door.ping_seconds = 0.01
    client = await door.connect(tail=masked(b"tail"))
    peer = await browser.connections.get()
    relay = await door.relays.get()
    await client.send(masked(b"x" * 1000))
    await peer.take(len(masked(b"tail") + masked(b"x" * 1000)))
    await peer.send(frame(b"y" * 70_000))
    while (await client.take_frame())[0] != 9:
        pass
    relay.close(1001, "ttl_expired")
    await client.take_rest()
    client.leave()
    await relay.wait_closed()
    assert door.count.up == len(masked(b"tail") + masked(b"x" * 1000))
    assert door.count.down == client.received


@pytest.mark.parametrize(
    ("request_head", "named"),
    [
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "Upgrade"),
        (UPGRADE.replace("Version: 13", "Version: 7") + "\r\n", "Sec-WebSocket-Version"),
        (UPGRADE.replace(KEY, "short") + "\r\n", "Sec-WebSocket-Key"),
    ],
)
async def test_a_request_that_is_no_upgrade_is_named_and_the_browsers_socket_closed(
    door: Door, request_head: str, named: str
) -> None:
    client = await door.dial_client()
    await client.send(request_head.encode())
    error = await door.failures.get()
    assert isinstance(error, InvalidRequest)
    assert named in error.message
    assert door.upstream is not None
    assert door.upstream.fileno() == -1
    assert (await client.take_head()).startswith(b"HTTP/1.1 400")


async def test_a_browser_that_refuses_is_quoted_and_the_client_gets_a_plain_answer(
    door: Door, browser: Browser
) -> None:
    browser.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\n\r\nNo such target\n"
    client = await door.dial_client()
    await client.send(f"{UPGRADE}\r\n".encode())
    error = await door.failures.get()
    assert isinstance(error, UpgradeRefused)
    assert (error.status, error.body) == (404, "No such target")
    assert (await client.take_head()).startswith(b"HTTP/1.1 400")
    peer = await browser.connections.get()
    assert await peer.take_rest() == b""


async def test_a_browser_that_leaves_the_upgrade_unanswered_is_a_lost_connection(door: Door, browser: Browser) -> None:
    browser.answer = None
    client = await door.dial_client()
    await client.send(f"{UPGRADE}\r\n".encode())
    (await browser.connections.get()).leave()
    assert isinstance(await door.failures.get(), ConnectionError)
    assert (await client.take_head()).startswith(b"HTTP/1.1 400")


async def test_a_browser_that_never_answers_is_given_up(
    door: Door, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaser_server.relay.splice.ANSWER_SECONDS", 0.05)
    browser.answer = None
    client = await door.dial_client()
    await client.send(f"{UPGRADE}\r\n".encode())
    assert isinstance(await door.failures.get(), TimeoutError)
    assert await (await browser.connections.get()).take_rest() == b""


async def test_a_handler_cancelled_before_the_101_lets_the_browser_go(door: Door, browser: Browser) -> None:
    browser.answer = None
    client = await door.dial_client()
    await client.send(f"{UPGRADE}\r\n".encode())
    peer = await browser.connections.get()
    (handler,) = door.handlers
    handler.cancel()
    assert await peer.take_rest() == b""


async def test_a_client_that_leaves_before_the_101_takes_the_upstream_with_it(door: Door, browser: Browser) -> None:
    browser.answer = None
    client = await door.dial_client()
    await client.send(f"{UPGRADE}\r\n".encode())
    peer = await browser.connections.get()
    client.reset()
    await asyncio.sleep(0)
    await peer.send(SWITCHING)
    assert await peer.take_rest() == b""
