from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import aiohttp
import pytest

from chaser_server.live import view as view_room
from chaser_server.live import viewer as viewer_room
from tests.live.conftest import Client, Stage


async def settled(client: Client) -> None:
    """Take and acknowledge pictures until nothing more is under way."""
    await client.ack(await client.frame())
    await client.heard()


def live_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("live")]


async def test_the_first_picture_comes_at_once_and_shows_the_screen(stage: Stage):
    stage.painter.fill(0xC00000)
    async with stage.connect() as client:
        frame = await client.frame()
        assert frame.size == (1280, 720)
        assert abs(frame.red - 0xC0) < 4
        assert abs(time.time() * 1000 - frame.unix_ms) < 10_000


async def test_a_second_viewer_of_a_still_screen_sees_it_at_once_and_costs_no_encode(stage: Stage):
    async with stage.connect() as first:
        await settled(first)
        encodes = stage.encoder.encodes
        async with stage.connect() as second:
            await second.frame()
        assert stage.encoder.encodes == encodes


async def test_what_is_drawn_is_sent_and_nothing_is_while_nothing_changes(stage: Stage):
    async with stage.connect() as client:
        frame = await client.frame()
        await client.ack(frame)
        for red in (0x40, 0x80, 0xC0):
            stage.painter.fill(red << 16)
            while abs((frame := await client.frame()).red - red) > 4:
                await client.ack(frame)
            await client.ack(frame)
        await client.heard()
        sent = stage.encoder.encodes
        stage.painter.fill(0xC00000)  # drawn again, and yet the same
        await client.heard()
        assert stage.encoder.encodes == sent


async def test_one_picture_is_under_way_at_most_and_the_next_is_the_newest(stage: Stage):
    async with stage.connect() as client:
        frame = await client.frame()
        for red in range(0, 250, 10):
            stage.painter.fill(red << 16)
        await client.say("ack", seq=frame.seq + 1)
        await client.heard()
        await client.ack(frame)
        newest = await client.frame()
        assert abs(newest.red - 240) < 4
        assert newest.seq == frame.seq + 1, "what nobody could take was never made"


async def test_one_grab_and_one_encode_serve_ten_viewers(stage: Stage):
    async with AsyncExitStack() as leaving:
        clients = [await leaving.enter_async_context(stage.connect("?watch")) for _ in range(10)]
        for client in clients:
            await client.ack(await client.frame())
        rounds = 20
        grabs, encodes = stage.source.grabs, stage.encoder.encodes
        for number in range(rounds):
            stage.painter.fill((number * 12 + 10) << 16)
            for client in clients:
                await client.ack(await client.frame())
        assert stage.encoder.encodes - encodes <= rounds * 1.5
        assert stage.source.grabs - grabs <= rounds * 2


async def test_without_viewers_nothing_runs_and_the_next_one_sees_the_screen_as_it_is_now(stage: Stage):
    async with stage.connect() as client:
        await settled(client)
    while stage.view.viewers:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    assert live_tasks() == []
    grabs = stage.source.grabs
    stage.painter.fill(0x800000)
    assert stage.source.grabs == grabs
    async with stage.connect() as client:
        assert abs((await client.frame()).red - 0x80) < 4


async def test_a_viewer_gets_the_size_it_wishes_and_another_still_gets_the_whole(stage: Stage):
    async with stage.connect() as whole, stage.connect() as small:
        for client in (whole, small):
            await client.ack(await client.frame())
        await small.say("config", scale=0.25, fps=10, q=40)
        await small.heard()
        stage.painter.fill(0x800000)
        assert (await small.frame()).size == (320, 180)
        assert (await whole.frame()).size == (1280, 720)


async def test_a_viewer_that_stopped_taking_is_sent_away_and_slows_nobody(stage: Stage, monkeypatch):
    monkeypatch.setattr(viewer_room, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(view_room, "CLOSE_SECONDS", 0.1)
    stalled = StalledSocket()
    serving = asyncio.create_task(stage.view.serve(stalled, may_drive=False))
    async with stage.connect() as client:
        for red in range(0, 200, 10):
            stage.painter.fill(red << 16)
            await client.ack(await client.frame())
        await asyncio.wait_for(serving, 10)
    assert stalled.closed_with == (1013, "too slow")


class StalledSocket:
    """A viewer whose transport takes hello and then nothing more."""

    closed_with: tuple[int, str] | None = None

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def send_text(self, text: str) -> None:
        pass

    async def receive_text(self) -> str | None:
        await asyncio.Event().wait()
        return None

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = (code, reason)
        await asyncio.Event().wait()


async def test_input_of_the_driver_arrives_and_that_of_others_does_not(stage: Stage):
    async with stage.connect() as driver, stage.connect() as other, stage.connect("?watch") as watcher:
        for client, x in ((watcher, 1), (other, 2), (driver, 3)):
            await client.frame()
            await client.say("mouse", a="down", x=x, y=-4, b=0)
            await client.say("key", a="down", code="KeyA", key="a")
            await client.say("wheel", x=x, y=5, dx=0, dy=10)
            await client.say("text", s="é")
            await client.say("touch", a="start", pts=[{"id": 0, "x": x, "y": 5000}])
            await client.heard()
        assert stage.driver.told == [
            ("mouse", "down", 3, 0, 0),
            ("key", "down", "KeyA", "a"),
            ("wheel", 3, 5, 0.0, 10.0),
            ("text", "é"),
            ("touch", "start", ((0, 3, 719),)),
        ]


async def test_control_is_asked_for_and_given_and_held_keys_are_let_go(stage: Stage):
    async with stage.connect() as first, stage.connect() as second:
        you = (await second.control(lambda said: said.get("driver") is not None))["you"]
        await second.say("control", a="ask")
        await first.control(lambda said: said.get("asking") == [you])
        await first.say("control", a="give", to=you)
        await second.control(lambda said: said.get("driving") is True)
        assert stage.driver.told == [("release_all",)]


async def test_who_only_watches_takes_no_number_from_those_who_drive(stage: Stage):
    async with stage.connect("?watch") as onlooker, stage.connect() as first, stage.connect() as second:
        told = [await each.control(lambda said: said.get("driver") is not None) for each in (onlooker, first, second)]
        assert [each["you"] for each in told] == [0, 1, 2]


async def test_a_driver_who_leaves_holds_nothing_down_and_the_next_who_asked_drives(stage: Stage):
    async with stage.connect() as driver, stage.connect() as other:
        await other.say("control", a="ask")
        you = (await other.control(lambda said: said["asking"] != []))["you"]
        await driver.ws.close()
        await other.control(lambda said: said["driver"] == you)
        assert stage.driver.told == [("release_all",)]


async def test_closing_the_view_tells_every_viewer_why(stage: Stage):
    async with stage.connect() as first, stage.connect() as second:
        await asyncio.gather(*(client.frame() for client in (first, second)))
        closing = asyncio.create_task(stage.view.close(4410, "ttl_expired"))
        for client in (first, second):
            while not (message := await client.ws.receive(timeout=10)).type.name.startswith("CLOS"):
                pass
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (4410, "ttl_expired")
        await asyncio.wait_for(closing, 10)
        assert stage.view.viewers == 0


async def test_a_killed_x_server_ends_the_stream_and_raises_nothing(stage: Stage):
    async with stage.connect() as client:
        await settled(client)
        stage.process.kill()
        assert (await client.ws.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert client.ws.close_code == 1001
    assert stage.view.viewers == 0


async def test_a_slow_viewer_beside_a_fast_one_gets_fresh_pictures_and_takes_none_away(stage: Stage):
    stop = asyncio.Event()

    async def animate() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            stage.painter.fill((number % 250) << 16)
            await asyncio.sleep(0.01)

    async def look(client: Client, pictures: int, thinking: float) -> list[float]:
        ages = []
        for _ in range(pictures):
            frame = await client.frame()
            ages.append(time.time() * 1000 - frame.unix_ms)
            await asyncio.sleep(thinking)
            await client.ack(frame)
        return ages

    async with stage.connect() as fast, stage.connect("?watch") as slow:
        animation = asyncio.create_task(animate())
        slowly = asyncio.create_task(look(slow, 3, 0.3))
        fast_pictures = 0
        while not slowly.done():
            await look(fast, 1, 0)
            fast_pictures += 1
        stop.set()
        await animation
    ages = await slowly
    assert fast_pictures > 3 * len(ages)
    assert max(ages[1:]) < 100


@pytest.mark.parametrize("leave", ["close", "drop"])
async def test_a_viewer_that_leaves_ends_nothing_for_others(stage: Stage, leave: str):
    async with stage.connect() as staying:
        async with stage.connect() as leaving:
            await leaving.frame()
            if leave == "drop":
                leaving.ws._response.connection.transport.abort()
        await staying.ack(await staying.frame())
        stage.painter.fill(0x123456)
        await staying.frame()
