"""Who holds a port, with real sockets."""

from __future__ import annotations

import os
import socket

import pytest

from chaser_server.ports import holder_of


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_holder_of_a_port_is_named_with_its_pid(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        assert f"(pid {os.getpid()})" in holder_of(server.getsockname()[1])


def test_a_port_that_nobody_listens_on_has_no_holder() -> None:
    with socket.socket() as bound_only:
        bound_only.bind(("127.0.0.1", 0))
        assert holder_of(bound_only.getsockname()[1]) == ""
