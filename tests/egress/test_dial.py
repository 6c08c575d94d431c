"""Looking up and judging, before anything is dialled."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from chaser_server.egress.dial import Dialer, Refused, is_this_machine, resolve_by_system
from chaser_server.egress.policy import Policy


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0"])
def test_this_machines_addresses_are_known_without_sending_anything(address):
    assert is_this_machine(ip_address(address))


def test_another_machines_address_is_not_this_machines():
    assert not is_this_machine(ip_address("192.0.2.1"))


async def test_the_system_resolves_names():
    assert ip_address("127.0.0.1") in await resolve_by_system("localhost")


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
