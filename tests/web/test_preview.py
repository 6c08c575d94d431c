"""The live view's door: tokens that open one session, and a stream of its screen."""

from __future__ import annotations

import json

import aiohttp
import pytest

from chaser_server.live.protocol import FRAME_HEADER
from tests.api import Api
from tests.conftest import Serve


async def token(api: Api, session_id: str, **options: bool) -> dict:
    answer = await api.ask("POST", f"/v1/sessions/{session_id}/preview-token", json=options)
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_viewer_gets_hello_then_the_screen_and_is_told_of_the_end(api: Api) -> None:
    session = await api.ready()
    preview = await token(api, session["id"])
    assert set(preview) == {"url", "expires_at", "input_enabled", "fps"}
    assert (preview["input_enabled"], preview["fps"]) == (True, 5)
    async with aiohttp.ClientSession() as http, http.ws_connect(preview["url"]) as socket:
        hello = await socket.receive_json()
        assert (hello["t"], hello["v"], hello["w"], hello["h"], hello["backend"]) == ("hello", 1, 1280, 720, "xvfb")
        while (message := await socket.receive()).type is not aiohttp.WSMsgType.BINARY:
            assert json.loads(message.data)["t"] == "control"
        kind, codec, width, height, _, _ = FRAME_HEADER.unpack_from(message.data)
        assert (kind, codec, width, height) == (1, 0, 1280, 720)
        assert message.data[FRAME_HEADER.size :].startswith(b"\xff\xd8")
        await api.delete(session["id"])
        while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
            pass
        assert (socket.close_code, message.extra) == (4410, "client_delete")
    kinds = [event["kind"] for event in await api.events(session["id"])]
    assert "viewer_connected" in kinds


async def test_a_stream_ends_with_4401_when_its_token_expires(serve: Serve) -> None:
    api = await serve(preview={"token_seconds": 1})
    session = await api.ready()
    preview = await token(api, session["id"])
    async with aiohttp.ClientSession() as http, http.ws_connect(preview["url"]) as socket:
        async for _ in socket:
            pass
        assert socket.close_code == 4401
    assert (await api.get(session["id"]))["status"] == "ready"


@pytest.mark.parametrize("change", ["altered", "foreign", "elsewhere", "ended", "missing"])
async def test_a_token_that_is_not_for_this_session_is_refused_before_the_upgrade(api: Api, change: str) -> None:
    session = await api.ready()
    url = (await token(api, session["id"]))["url"]
    if change == "altered":
        url = url[:-3] + ("aaa" if not url.endswith("aaa") else "bbb")
    elif change == "foreign":
        url = url.split("token=")[0] + "token=WyJ3IiwicyIsdHJ1ZSw5OTk5OTk5OTk5OTk5XQ.c2lnbmF0dXJl"
    elif change == "elsewhere":
        other = await api.ready()
        url = url.replace(session["id"], other["id"])
    elif change == "ended":
        await api.delete(session["id"])
    else:
        url = url.split("?")[0]
    answer = await api.ask("GET", url.removeprefix(api.url.replace("http", "ws")), key="")
    assert answer.status in (403, 404)
    assert answer.json["error"]["code"] in ("forbidden", "session_not_found")
    assert session["id"] not in answer.json["error"]["message"]
