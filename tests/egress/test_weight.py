"""What the proxy costs: bounds that are generous enough for any machine and tight enough to notice a mistake."""

from __future__ import annotations

import asyncio
import gc
import resource
import tracemalloc

import pytest

from chaser_server.bench.egress import measure
from tests.egress.peers import OriginSide, egress, origin, until
from tests.egress.test_proxy import echo


async def flood(side: OriginSide) -> None:
    while True:
        await side.write(b"z" * 65536)


async def test_stalled_clients_cost_bounded_memory(client_to):
    async with origin(flood) as there, egress() as here:
        await settled(here.count)
        tracemalloc.start()
        try:
            clients = [await client_to(here.port) for _ in range(10)]
            for client in clients:
                await client.connect(f"127.0.0.1:{there.port}")
            await settled(here.count)
            own = [tracemalloc.Filter(True, "*/chaser_server/egress/*")]
            held = sum(one.size for one in tracemalloc.take_snapshot().filter_traces(own).statistics("filename"))
        finally:
            tracemalloc.stop()
        assert here.count.down > 1_000_000
        assert held < 10 * 300_000


async def settled(count) -> None:
    seen = -1
    while seen != count.down:
        seen = count.down
        await asyncio.sleep(0.1)


async def test_no_descriptor_and_no_object_is_left_of_many_connections(client_to):
    async with origin(echo) as there, egress() as here:
        for _ in range(50):
            client = await client_to(here.port)
            await client.connect(f"127.0.0.1:{there.port}")
            await client.send(b"x")
            await client.read_exactly(1)
            client.close()
        await until(lambda: not (here.proxy._wires or here.proxy._tunnels or here.proxy._tasks))


@pytest.fixture(scope="module")
def rows():
    gc.collect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    return {row.name: row.value for row in measure(amount=100_000_000, rounds=1)}


def test_500_idle_tunnels_cost_at_most_20_megabytes(rows):
    assert rows["memory of 500 idle tunnels"] <= 20


def test_the_bench_measures_cpu_and_throughput(rows):
    assert rows["tunnel download, CPU of the proxy"] > 0
    assert rows["download throughput, proxied / direct"] > 0
