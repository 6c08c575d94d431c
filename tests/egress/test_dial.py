"""Looking up and judging, before anything is dialled."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address

import pytest

from chaser_server.egress.dial import LOOKUPS_AT_ONCE, Dialer, DialError, Refused, is_this_machine, resolve_by_system
from chaser_server.egress.policy import Policy


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0"])
def test_this_machines_addresses_are_known_without_sending_anything(address):
    assert is_this_machine(ip_address(address))


def test_another_machines_address_is_not_this_machines():
    assert not is_this_machine(ip_address("192.0.2.1"))


async def test_the_system_resolves_names():
    assert ip_address("127.0.0.1") in await resolve_by_system("localhost")


async def test_no_lookup_waits_for_another(monkeypatch: pytest.MonkeyPatch):
    together = threading.Barrier(50)

    def slow(host: str, port: None, **_: object):
        together.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    found = await asyncio.gather(*(resolve_by_system(f"{number}.example") for number in range(50)))
    assert found == [[ip_address("93.184.216.34")]] * 50


async def test_a_name_with_both_kinds_of_addresses_leads_only_to_the_open_ones():
    async def resolve(host: str):
        return [ip_address("169.254.169.254"), ip_address("93.184.216.34"), ip_address("::1")]

    dialer = Dialer(policy=Policy(is_public=True), resolver=resolve)
    assert await dialer.allowed_addresses("rebound.example", 80) == [ip_address("93.184.216.34")]


async def test_localhost_is_never_looked_up_and_still_judged():
    async def resolve(host: str):
        raise AssertionError(host)

    with pytest.raises(Refused, match="loopback"):
        await Dialer(policy=Policy(is_public=True), resolver=resolve).allowed_addresses("a.localhost", 80)


async def test_names_that_nobody_answers_for_hold_only_so_many_lookups_and_waiting_no_longer_gives_none_back(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[str] = []
    answer = asyncio.Event()

    async def resolve(host: str):
        asked.append(host)
        await answer.wait()
        return [ip_address("93.184.216.34")]

    dialer = Dialer(policy=Policy(), resolver=resolve)
    askers = [asyncio.create_task(dialer.resolve(f"{number}.example")) for number in range(LOOKUPS_AT_ONCE + 1)]
    while len(asked) < LOOKUPS_AT_ONCE:
        await asyncio.sleep(0)
    monkeypatch.setattr("chaser_server.egress.dial._RESOLVE_SECONDS", 0.01)
    with pytest.raises(DialError, match="took too long"):
        await dialer.resolve("late.example")
    askers[0].cancel()
    await asyncio.wait(askers[:1])
    assert len(asked) == LOOKUPS_AT_ONCE
    answer.set()
    await asyncio.gather(*askers[1:])
    assert len(asked) == LOOKUPS_AT_ONCE + 1
