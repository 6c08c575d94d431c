"""Egress tests run on both loops: uvloop is what the server uses, plain asyncio is what it must also work on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.egress.peers import Client


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture
async def client_to() -> AsyncIterator[Callable]:
    """Clients that are closed when the test ends."""
    clients: list[Client] = []

    async def make(port: int) -> Client:
        clients.append(await Client.to(port))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
