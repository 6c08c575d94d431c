"""Who holds a port, with real sockets."""

from __future__ import annotations

import os
import socket

import pytest

from chaser_server.ports import holder_of


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_holder_of_a_port_is_named_with_its_pid(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        assert f"(pid {os.getpid()})" in holder_of(host, server.getsockname()[1])


@pytest.mark.parametrize(
    ("held", "asked", "is_held"),
    [
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("::1", "127.0.0.1", False),
        ("::1", "::", True),
        ("::", "127.0.0.1", True),
    ],
)
def test_who_listens_on_another_address_holds_nothing(held: str, asked: str, is_held: bool) -> None:
    family = socket.AF_INET6 if ":" in held else socket.AF_INET
    with socket.create_server((held, 0), family=family, dualstack_ipv6=held == "::") as server:
        holder = holder_of(asked, server.getsockname()[1])
    assert holder if is_held else f"(pid {os.getpid()})" not in holder


def test_a_port_that_nobody_listens_on_has_no_holder() -> None:
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        assert holder_of("127.0.0.1", bound_only.getsockname()[1]) == ""
