"""What a browser sees of the proxy, and what the proxy counts."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from ipaddress import ip_address

import pytest

from chaser_server.egress.policy import Policy
from tests.egress.peers import OriginSide, egress, listening_socket, origin, until


async def echo(side: OriginSide) -> None:
    while data := await side.read():
        await side.write(data)


async def hello(side: OriginSide) -> None:
    """Answers every request of a kept connection."""
    while True:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


async def test_a_tunnel_carries_bytes_both_ways_and_counts_them_as_the_origin_does(client_to):
    async with origin(echo) as there, egress() as here:
        client = await client_to(here.port)
        assert (await client.connect(f"127.0.0.1:{there.port}")).startswith(b"HTTP/1.1 200 ")
        await client.send(b"x" * 100_000)
        assert await client.read_exactly(100_000) == b"x" * 100_000
        assert (here.count.up, here.count.down) == (there.got, there.gave) == (100_000, 100_000)


async def test_a_long_tunnel_is_counted_while_it_is_open(client_to):
    async with origin(echo) as there, egress() as here:
        client = await client_to(here.port)
        await client.connect(f"localhost:{there.port}")
        for round_trips in range(1, 4):
            await client.send(b"ping")
            await client.read_exactly(4)
            assert (here.count.up, here.count.down) == (4 * round_trips, 4 * round_trips)


async def test_bytes_sent_with_the_connect_are_part_of_the_tunnel(client_to):
    async with origin(echo) as there, egress() as here:
        client = await client_to(here.port)
        await client.send(f"CONNECT 127.0.0.1:{there.port} HTTP/1.1\r\n\r\nearly".encode())
        await client.read_until(b"\r\n\r\n")
        assert await client.read_exactly(5) == b"early"


async def test_a_half_close_by_the_client_reaches_the_origin_behind_the_data(client_to):
    async def count_then_answer(side: OriginSide) -> None:
        while await side.read():
            pass
        await side.write(b"y" * 300_000)

    async with origin(count_then_answer) as there, egress() as here:
        client = await client_to(here.port)
        await client.connect(f"127.0.0.1:{there.port}")
        await client.send(b"x" * 2_000_000)
        client.half_close()
        assert len(await client.read_to_end()) == 300_000
        assert (here.count.up, here.count.down) == (there.got, there.gave) == (2_000_000, 300_000)


async def test_a_half_close_by_the_origin_leaves_the_way_up_open(client_to):
    async def close_early(side: OriginSide) -> None:
        await side.write(b"bye")
        side.writer.write_eof()
        while await side.read():
            pass

    async with origin(close_early) as there, egress() as here:
        client = await client_to(here.port)
        await client.connect(f"127.0.0.1:{there.port}")
        assert await client.read_to_end() == b"bye"
        await client.send(b"still here")
        client.close()
        await until(lambda: there.got == 10)
        assert here.count.up == 10


async def test_a_reset_by_the_client_resets_the_origin(client_to):
    reset = asyncio.get_running_loop().create_future()

    async def wait(side: OriginSide) -> None:
        try:
            await side.read()
        except ConnectionResetError:
            reset.set_result(None)

    async with origin(wait) as there, egress() as here:
        client = await client_to(here.port)
        await client.connect(f"127.0.0.1:{there.port}")
        client.reset()
        await asyncio.wait_for(reset, 10)


async def test_a_client_that_does_not_read_stops_the_origin(client_to):
    async def flood(side: OriginSide) -> None:
        while True:
            await side.write(b"z" * 65536)

    async with origin(flood) as there, egress() as here:
        client = await client_to(here.port)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await client.connect(f"127.0.0.1:{there.port}")
        seen = -1
        while seen != here.count.down:
            seen = here.count.down
            await asyncio.sleep(0.2)
        assert seen < 20_000_000


async def test_kept_connections_serve_several_requests_on_one_origin_connection(client_to):
    async with origin(hello) as there, egress() as here:
        client = await client_to(here.port)
        for _ in range(3):
            head = await client.get(f"http://127.0.0.1:{there.port}/a?b=c", "Proxy-Connection: keep-alive")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await client.read_exactly(5) == b"hello"
        assert len(there.sides) == 1
        assert (here.count.up, here.count.down) == (there.got, there.gave)


async def test_the_origin_gets_the_request_in_origin_form_without_what_belongs_to_the_proxy(client_to):
    heads = []

    async def record(side: OriginSide) -> None:
        heads.append(await side.read_until(b"\r\n\r\n"))
        await side.write(b"HTTP/1.1 204 No Content\r\nKeep-Alive: timeout=5\r\nX-One: 1\r\n\r\n")

    async with origin(record) as there, egress() as here:
        client = await client_to(here.port)
        head = await client.get(
            f"http://user:pass@127.0.0.1:{there.port}?q",
            "Host: elsewhere",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "X-End: 2",
        )
    assert heads[0].decode() == f"GET /?q HTTP/1.1\r\nHost: 127.0.0.1:{there.port}\r\nX-End: 2\r\n\r\n"
    assert head == b"HTTP/1.1 204 No Content\r\nX-One: 1\r\n\r\n"


async def test_chunked_bodies_pass_unchanged_both_ways(client_to):
    chunked = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: t\r\n\r\n"

    async def mirror(side: OriginSide) -> None:
        for _ in range(2):
            await side.read_until(b"\r\n\r\n")
            body = await side.read_exactly(len(chunked))
            await side.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    async with origin(mirror) as there, egress() as here:
        client = await client_to(here.port)
        for _ in range(2):
            request = f"POST http://127.0.0.1:{there.port}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            for piece in (request + chunked[:7], chunked[7:20], chunked[20:]):
                await client.send(piece)
            await client.read_until(b"\r\n\r\n")
            assert await client.read_exactly(len(chunked)) == chunked
        assert len(there.sides) == 1


async def test_a_body_is_sent_only_after_100_continue_when_the_client_waits_for_it(client_to):
    async def careful(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        await side.read_exactly(4)
        await side.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with origin(careful) as there, egress() as here:
        client = await client_to(here.port)
        head = await client.get(
            f"http://127.0.0.1:{there.port}/", "Content-Length: 4", "Expect: 100-continue", method="POST"
        )
        assert head.startswith(b"HTTP/1.1 103 Early Hints")
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue")
        await client.send(b"body")
        assert (await client.read_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_leave_the_connection_usable(client_to, method, answer):
    async def bodyless(side: OriginSide) -> None:
        for _ in range(2):
            await side.read_until(b"\r\n\r\n")
            await side.write(answer)

    async with origin(bodyless) as there, egress() as here:
        client = await client_to(here.port)
        for _ in range(2):
            assert await client.get(f"http://127.0.0.1:{there.port}/", method=method) == answer
        assert len(there.sides) == 1


async def test_an_answer_without_length_ends_with_its_connection(client_to):
    async def old(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"o" * 200_000)

    async with origin(old) as there, egress() as here:
        client = await client_to(here.port)
        assert b"Connection: close" in await client.get(f"http://127.0.0.1:{there.port}/")
        assert len(await client.read_to_end()) == 200_000


async def test_an_origin_that_closes_after_each_answer_does_not_close_the_client(client_to):
    async def once(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    async with origin(once) as there, egress() as here:
        client = await client_to(here.port)
        for _ in range(2):
            assert b"close" not in await client.get(f"http://127.0.0.1:{there.port}/")
            assert await client.read_exactly(2) == b"ok"
        assert len(there.sides) == 2


async def test_an_answer_cut_short_is_cut_short_for_the_client_too(client_to):
    async def liar(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    async with origin(liar) as there, egress() as here:
        client = await client_to(here.port)
        await client.get(f"http://127.0.0.1:{there.port}/")
        with pytest.raises(ConnectionResetError):
            assert await client.read_to_end() == b"half"


async def test_an_upgrade_in_absolute_form_becomes_a_tunnel(client_to):
    async def websocket(side: OriginSide) -> None:
        head = await side.read_until(b"\r\n\r\n")
        assert b"Upgrade: websocket" in head
        await side.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        await echo(side)

    async with origin(websocket) as there, egress() as here:
        client = await client_to(here.port)
        head = await client.get(f"ws://127.0.0.1:{there.port}/", "Connection: Upgrade", "Upgrade: websocket")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Upgrade: websocket" in head
        assert await client.read_exactly(5) == b"first"
        await client.send(b"frame")
        assert await client.read_exactly(5) == b"frame"
        assert (here.count.up, here.count.down) == (there.got, there.gave)


async def test_a_client_that_cancels_a_download_stops_the_origin(client_to):
    stopped = asyncio.get_running_loop().create_future()

    async def endless(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")
        await side.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await side.write(b"z" * 65536)
        except OSError:
            stopped.set_result(None)

    async with origin(endless) as there, egress() as here:
        client = await client_to(here.port)
        await client.get(f"http://127.0.0.1:{there.port}/")
        client.close()
        await asyncio.wait_for(stopped, 10)


async def test_localhost_is_the_host_and_falls_from_one_address_to_the_next(client_to):
    async with origin(echo, host="::1") as there, egress() as here:
        client = await client_to(here.port)
        assert b" 200 " in await client.connect(f"app.localhost.:{there.port}")


async def test_a_name_is_looked_up_in_the_proxy_and_its_next_address_is_tried(client_to):
    async def resolve(host: str):
        assert host == "shop.example"
        return [ip_address("127.0.0.9"), ip_address("127.0.0.1")]

    async with origin(echo) as there, egress(resolver=resolve) as here:
        client = await client_to(here.port)
        assert b" 200 " in await client.connect(f"shop.example:{there.port}")


async def unresolvable(host: str):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    ("request_head", "status", "words"),
    [
        ("CONNECT 127.0.0.1:{closed} HTTP/1.1", 502, "refused the connection"),
        ("GET http://127.0.0.1:{closed}/ HTTP/1.1", 502, "refused the connection"),
        ("CONNECT no.such.example:443 HTTP/1.1", 502, "no.such.example cannot be resolved"),
        ("GET / HTTP/1.1", 400, "forward proxy"),
        ("GET https://a.example/ HTTP/1.1", 400, "forward proxy"),
        ("CONNECT nonsense HTTP/1.1", 400, "not a host and port"),
        ("CONNECT a:0 HTTP/1.1", 400, "not a host and port"),
        ("hello", 400, "not HTTP/1.1"),
        ("GET http://a/ HTTP/1.1\r\nBad Header: 1", 400, "malformed"),
        ("POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400, "ambiguous"),
        ("POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400, "Content-Length"),
        ("GET http://a/ HTTP/1.1\r\nX: " + "x" * 270_000, 431, "too large"),
        ("GET http://127.0.0.1:{mute}/ HTTP/1.1", 502, "without an answer"),
        ("GET http://127.0.0.1:{odd}/ HTTP/1.1", 502, "did not answer in HTTP/1.1"),
    ],
)
async def test_what_cannot_be_served_is_answered_with_the_cause_in_words(client_to, request_head, status, words):
    async def mute(side: OriginSide) -> None:
        await side.read_until(b"\r\n\r\n")

    async def odd(side: OriginSide) -> None:
        await side.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await side.read()

    async with origin(mute) as silent, origin(odd) as strange, egress(resolver=unresolvable) as here:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            ports = {"closed": closed.getsockname()[1], "mute": silent.port, "odd": strange.port}
            client = await client_to(here.port)
            await client.send(request_head.format(**ports).encode() + b"\r\n\r\n")
            head = await client.read_until(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            assert words in (await client.read()).decode()


async def test_a_refusal_by_policy_reaches_the_page_and_the_events_and_dials_nothing(client_to):
    async with origin(hello) as there, egress(Policy(own_ports=lambda: {there.port})) as here:
        client = await client_to(here.port)
        for url in (f"http://localhost:{there.port}/", f"http://0x7f000001:{there.port}/"):
            assert (await client.get(url)).startswith(b"HTTP/1.1 403 Forbidden")
            await client.read_until(b"not open to sessions.\n")
        assert there.sides == []
        assert [kind for kind, _ in here.events] == ["egress_refused"] * 2


async def test_every_refusal_is_counted_by_its_rule_also_those_that_the_timeline_leaves_out(client_to):
    refusals = Counter()
    async with origin(hello) as there, egress(Policy(own_ports=lambda: {there.port}), refusals=refusals) as here:
        client = await client_to(here.port)
        for _ in range(3):
            assert (await client.get(f"http://localhost:{there.port}/")).startswith(b"HTTP/1.1 403 Forbidden")
            await client.read_until(b"not open to sessions.\n")
        assert len(here.events) == 1
        assert refusals == {"own_port": 3}
        assert (here.count.up, here.count.down) == (0, 0)


async def test_closing_the_proxy_cuts_everything_at_once_and_twice_is_fine(client_to):
    async with origin(echo) as there, egress() as here:
        tunnel, half = await client_to(here.port), await client_to(here.port)
        await tunnel.connect(f"127.0.0.1:{there.port}")
        await half.send(b"GET http://127.0.0.1")
        await here.proxy.close()
        await here.proxy.close()
        for client in (tunnel, half):
            with pytest.raises(ConnectionResetError):
                await client.read()
        with pytest.raises(ConnectionRefusedError):
            await client_to(here.port)


async def test_a_proxy_closed_before_it_starts_closes_its_listener():
    async with egress() as here:
        await here.proxy.close()
        listener = listening_socket()
        await here.proxy.start(listener)
        assert listener.fileno() == -1
