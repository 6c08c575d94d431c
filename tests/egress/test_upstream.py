"""Which upstream is taken and when one is set aside (pure), and sessions through real ones."""

from __future__ import annotations

import collections
import random
from ipaddress import ip_address

import pytest

from chaser_server.egress.policy import Policy, Rules
from chaser_server.egress.upstream import Upstream, UpstreamPool, pick
from chaser_server.errors import ConfigError
from tests.egress.peers import OriginSide, egress, origin, until
from tests.egress.test_proxy import echo, hello
from tests.egress.upstreams import PASSWORD, USER, Counted, free_port, trusting, upstream_of_kind

KINDS = ["http", "https", "socks5"]
NOTHING = Rules()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def named(name: str, **more: object) -> Upstream:
    return Upstream.parse(name, f"http://{name}.example:3128", **more)


def test_a_url_is_read_with_its_credentials_unquoted():
    one = Upstream.parse("a", "socks5://us%40er:p%3Ass@proxy.example", region="eu", weight=2, ip="203.0.113.7")
    assert (one.scheme, one.host, one.port, one.region, one.weight) == ("socks5", "proxy.example", 1080, "eu", 2)
    assert (one.username, one.password, one.ip) == ("us@er", "p:ss", ip_address("203.0.113.7"))


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("ftp://user:hunter2@a", {}),
        ("http://user:hunter2@", {}),
        ("http://user:hunter2@a:99999", {}),
        ("http://user:hunter2@a/path", {}),
        ("http://us%3Aer:hunter2@a", {}),
        ("socks5://user:" + "hunter2" * 50 + "@a", {}),
        ("http://user:hunter2@a", {"weight": 0}),
        ("http://user:hunter2@a", {"ip": "nonsense"}),
    ],
)
def test_a_url_that_cannot_be_used_is_named_without_being_shown(url, more):
    with pytest.raises(ConfigError) as caught:
        Upstream.parse("mine", url, **more)
    assert "'mine'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_credentials_are_not_in_the_repr():
    assert "hunter2" not in repr(Upstream.parse("a", "http://me:hunter2@a:1"))
    assert "'me'" not in repr(Upstream.parse("a", "http://me:hunter2@a:1"))


def test_an_upstream_is_taken_by_weight():
    light, heavy = named("light", weight=1), named("heavy", weight=3)
    source = random.Random(7)
    taken = collections.Counter(pick([light, heavy], source).name for _ in range(4000))
    assert 2800 < taken["heavy"] < 3200


def test_a_region_limits_the_choice():
    pool = UpstreamPool([named("a", region="eu"), named("b", region="us")])
    assert {pool.pick("us").name for _ in range(20)} == {"b"}
    assert pool.pick("mars") is None
    assert pool.regions == {"eu", "us"}


def test_two_upstreams_of_one_name_stop_the_start():
    with pytest.raises(ConfigError, match="same name"):
        UpstreamPool([named("a"), named("a")])


def test_an_upstream_that_fails_repeatedly_is_set_aside_longer_each_time_and_tried_again():
    clock, a, b = Clock(), named("a"), named("b")
    pool = UpstreamPool([a, b], clock=clock)
    pool.failed(a)
    assert not pool.is_aside(a)
    for seconds in (5, 10, 20, 40, 80, 160, 300, 300):
        pool.failed(a)
        assert {pool.pick().name for _ in range(20)} == {"b"}
        clock.now += seconds - 0.5
        assert pool.is_aside(a)
        clock.now += 0.5
        assert not pool.is_aside(a)


def test_one_success_clears_an_upstream():
    a = named("a")
    pool = UpstreamPool([a], clock=Clock())
    pool.failed(a)
    pool.worked(a)
    pool.failed(a)
    assert not pool.is_aside(a)


def test_when_all_are_set_aside_the_one_due_first_is_tried():
    clock, a, b = Clock(), named("a"), named("b")
    pool = UpstreamPool([a, b], clock=clock)
    for failing in (a, a, b, b, b):
        pool.failed(failing)
    assert pool.pick() == a


def pool_of(counted: Counted, **more: object) -> UpstreamPool:
    return UpstreamPool([Upstream.parse("one", counted.url, region="eu", **more)])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_count_is_what_the_upstream_counts_on_its_client_side(client_to, tmp_path, kind):
    async with origin(echo) as there, upstream_of_kind(kind, tmp_path) as way:
        tls = trusting(tmp_path) if kind == "https" else None
        async with egress(upstreams=pool_of(way), bypass=NOTHING, tls=tls) as here:
            client = await client_to(here.port)
            assert b" 200 " in await client.connect(f"127.0.0.1:{there.port}")
            for size in (1, 70_000, 1_000_000):
                await client.send(b"x" * size)
                assert await client.read_exactly(size) == b"x" * size
            client.close()
            await until(lambda: not here.proxy._wires)
            await until(lambda: (here.count.up, here.count.down) == (way.relay.got, way.relay.gave))
            assert here.count.up > there.got == 1_070_001
            [row] = here.proxy.ledger()
            assert (row.host, row.upstream, row.connections) == ("127.0.0.1", "one", 1)
            assert (row.up, row.down) == (here.count.up, here.count.down)


@pytest.mark.parametrize("kind", KINDS)
async def test_plain_http_goes_through_the_upstream_too(client_to, tmp_path, kind):
    async with origin(hello) as there, upstream_of_kind(kind, tmp_path) as way:
        tls = trusting(tmp_path) if kind == "https" else None
        async with egress(upstreams=pool_of(way), bypass=NOTHING, tls=tls) as here:
            client = await client_to(here.port)
            for _ in range(2):
                assert b" 200 " in await client.get(f"http://localhost:{there.port}/")
                assert await client.read_exactly(5) == b"hello"
            assert len(way.relay.sides) == len(there.sides) == 1
            await until(lambda: (here.count.up, here.count.down) == (way.relay.got, way.relay.gave))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_half_close_passes_through_an_upstream(client_to, tmp_path, kind):
    async def count_then_answer(side: OriginSide) -> None:
        while await side.read():
            pass
        await side.write(str(side.got).encode())

    async with origin(count_then_answer) as there, upstream_of_kind(kind, tmp_path) as way:
        tls = trusting(tmp_path) if kind == "https" else None
        async with egress(upstreams=pool_of(way), bypass=NOTHING, tls=tls) as here:
            client = await client_to(here.port)
            await client.connect(f"127.0.0.1:{there.port}")
            await client.send(b"x" * 500_000)
            client.half_close()
            await until(lambda: there.got == 500_000)


async def test_the_address_and_region_are_known_once_the_upstream_has_worked(client_to, tmp_path):
    async with origin(echo) as there, upstream_of_kind("socks5", tmp_path) as way:
        async with egress(upstreams=pool_of(way), bypass=NOTHING) as here:
            assert (here.proxy.proxy_ip, here.proxy.proxy_region) == (None, None)
            client = await client_to(here.port)
            await client.connect(f"127.0.0.1:{there.port}")
            assert (here.proxy.proxy_ip, here.proxy.proxy_region) == ("127.0.0.1", "eu")
            assert here.events == [("egress_upstream", {"name": "one", "region": "eu", "ip": "127.0.0.1"})]
        async with egress(upstreams=pool_of(way, ip="203.0.113.7"), bypass=NOTHING) as here:
            client = await client_to(here.port)
            await client.connect(f"127.0.0.1:{there.port}")
            assert here.proxy.proxy_ip == "203.0.113.7"


async def test_loopback_does_not_go_through_an_upstream_unless_asked_to(client_to):
    async with origin(echo) as there, egress(upstreams=UpstreamPool([named("a")])) as here:
        client = await client_to(here.port)
        assert b" 200 " in await client.connect(f"localhost:{there.port}")
        assert here.proxy.ledger()[0].upstream is None


async def test_a_name_is_judged_here_and_the_upstream_gets_its_address(client_to, tmp_path):
    async def resolve(host: str):
        return [ip_address("10.1.2.3" if host == "inside.example" else "127.0.0.1")]

    policy = Policy(is_public=True, allow=Rules.parse(["127.0.0.0/8"]))
    async with (
        origin(echo) as there,
        upstream_of_kind("http", tmp_path) as way,
        egress(policy, upstreams=pool_of(way), bypass=NOTHING, resolver=resolve) as here,
    ):
        client = await client_to(here.port)
        assert b" 200 " in await client.connect(f"no-such-name.example:{there.port}")
        refused = await client_to(here.port)
        assert b" 403 " in await refused.connect(f"inside.example:{there.port}")


async def test_an_upstream_may_look_names_up_itself(client_to, tmp_path):
    policy = Policy(block=Rules.parse(["blocked.example"]))
    async with origin(echo) as there, upstream_of_kind("socks5", tmp_path) as way:
        upstreams = UpstreamPool([Upstream.parse("one", way.url, remote_dns=True)])
        async with egress(policy, upstreams=upstreams, bypass=NOTHING, resolver=resolve_only_literals) as here:
            client = await client_to(here.port)
            assert b" 200 " in await client.connect(f"localhost:{there.port}")
            refused = await client_to(here.port)
            assert b" 403 " in await refused.connect("blocked.example:443")


async def resolve_only_literals(host: str):
    raise AssertionError(f"{host} was looked up here")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_destination_that_refuses_is_not_held_against_the_upstream(client_to, tmp_path, kind):
    async with upstream_of_kind(kind, tmp_path) as way:
        tls = trusting(tmp_path) if kind == "https" else None
        upstreams = pool_of(way)
        async with egress(upstreams=upstreams, bypass=NOTHING, tls=tls) as here:
            for _ in range(3):
                client = await client_to(here.port)
                assert b" 502 " in await client.connect(f"127.0.0.1:{free_port()}")
                assert b"cannot be reached through the upstream proxy one" in await client.read_to_end()
            assert not upstreams.is_aside(upstreams.pick())


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_credentials_set_the_upstream_aside_and_are_never_shown(client_to, tmp_path, kind):
    async with origin(echo) as there, upstream_of_kind(kind, tmp_path) as way:
        tls = trusting(tmp_path) if kind == "https" else None
        wrong = Upstream.parse("one", way.url.replace(PASSWORD, "hunter2"))
        upstreams = UpstreamPool([wrong])
        async with egress(upstreams=upstreams, bypass=NOTHING, tls=tls) as here:
            client = await client_to(here.port)
            answer = await client.connect(f"127.0.0.1:{there.port}") + await client.read_to_end()
            assert b" 502 " in answer
            assert b"upstream proxy one cannot be used" in answer
            assert upstreams.is_aside(wrong)
            shown = repr((answer, here.events, here.proxy.ledger(), upstreams.pick()))
            assert "hunter2" not in shown
            assert USER not in shown


async def test_a_session_moves_on_from_an_upstream_that_is_set_aside_and_says_so(client_to, tmp_path):
    async with origin(echo) as there, upstream_of_kind("http", tmp_path) as way:
        dead = Upstream.parse("dead", f"http://127.0.0.1:{free_port()}", weight=1e9)
        upstreams = UpstreamPool([dead, Upstream.parse("alive", way.url, weight=1e-9)])
        async with egress(upstreams=upstreams, bypass=NOTHING) as here:
            client = await client_to(here.port)
            assert b" 200 " in await client.connect(f"127.0.0.1:{there.port}")
            assert [kind for kind, _ in here.events] == ["egress_upstream_changed", "egress_upstream"]
            assert here.events[0][1] == {"from": "dead", "to": "alive", "reason": "it refused the connection"}


async def test_a_session_keeps_its_upstream_while_it_works(client_to, tmp_path):
    async with origin(echo) as there, upstream_of_kind("http", tmp_path) as way:
        upstreams = UpstreamPool([Upstream.parse(f"u{number}", way.url) for number in range(8)])
        async with egress(upstreams=upstreams, bypass=NOTHING) as here:
            for _ in range(12):
                client = await client_to(here.port)
                await client.connect(f"127.0.0.1:{there.port}")
            assert len({row.upstream for row in here.proxy.ledger()}) == 1


async def test_an_upstream_whose_certificate_cannot_be_trusted_is_not_used(client_to, tmp_path):
    async with upstream_of_kind("https", tmp_path) as way, egress(upstreams=pool_of(way), bypass=NOTHING) as here:
        client = await client_to(here.port)
        assert b" 502 " in await client.connect("127.0.0.1:80")
        assert b"certificate" in (await client.read_to_end()).lower()


async def test_a_region_without_upstreams_is_said_in_words(client_to):
    async with egress(upstreams=UpstreamPool([named("a", region="eu")]), region="mars") as here:
        client = await client_to(here.port)
        assert b" 502 " in await client.connect("10.0.0.1:80")
        assert b"no upstream proxy in region mars" in await client.read_to_end()
