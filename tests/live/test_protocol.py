from __future__ import annotations

import json
import struct

import pytest

from chaser_server.live import protocol
from chaser_server.live.protocol import Ack, BadMessage, Config, ControlRequest, Key, Mouse, Text, Touch, Wheel, parse

SCREEN = (1280, 720)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"t": "ack", "seq": 7}, Ack(7)),
        ({"t": "mouse", "a": "down", "x": 10, "y": 20, "b": 2}, Mouse("down", 10, 20, 2)),
        ({"t": "mouse", "a": "move", "x": 10.9, "y": 20.2}, Mouse("move", 10, 20, 0)),
        ({"t": "mouse", "a": "move", "x": -5, "y": 1e9}, Mouse("move", 0, 719, 0)),
        ({"t": "wheel", "x": 1, "y": 2, "dx": 0, "dy": -53.5}, Wheel(1, 2, 0, -53.5)),
        ({"t": "key", "a": "up", "code": "KeyA", "key": "a"}, Key("up", "KeyA", "a")),
        ({"t": "text", "s": "naïve 🙂"}, Text("naïve 🙂")),
        ({"t": "touch", "a": "start", "pts": [{"id": 1, "x": 5, "y": 6}]}, Touch("start", ((1, 5, 6),))),
        ({"t": "touch", "a": "end", "pts": []}, Touch("end", ())),
        ({"t": "config", "fps": 30, "q": 50, "scale": 0.5}, Config(30, 50, 0.5)),
        ({"t": "config", "q": 1000}, Config(None, 100, None)),
        ({"t": "control", "a": "give", "to": 3}, ControlRequest("give", 3)),
        ({"t": "control", "a": "ask"}, ControlRequest("ask", 0)),
    ],
)
def test_every_message_is_understood_and_its_point_is_on_the_screen(message, expected):
    assert parse(json.dumps(message), SCREEN) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "", "nonsense", "[1]", "null", '"ack"', "[" * 100_000,
        "{}", '{"t":"fly"}', '{"t":["ack"]}', '{"t":"ack"}', '{"t":"ack","seq":"1"}', '{"t":"ack","seq":true}',
        '{"t":"ack","seq":NaN}', '{"t":"ack","seq":' + "9" * 400 + "}",
        '{"t":"mouse","a":"hover","x":1,"y":1}', '{"t":"mouse","a":"move","x":1}',
        '{"t":"mouse","a":["move"],"x":1,"y":1}',
        '{"t":"key","a":"down","code":5}', '{"t":"key","a":"down","code":"' + "x" * 33 + '"}',
        '{"t":"text"}', '{"t":"text","s":"' + "x" * 1_000_001 + '"}',
        '{"t":"touch","a":"start"}', '{"t":"touch","a":"start","pts":[1]}', '{"t":"config","fps":"fast"}',
        '{"t":"touch","a":"start","pts":[' + ",".join(['{"id":1,"x":1,"y":1}'] * 11) + "]}",
        '{"t":"control","a":"steal"}',
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_a_reason(raw: str):
    with pytest.raises(BadMessage, match=r"must|not|too"):
        parse(raw, SCREEN)


def test_hello_says_what_the_screen_is():
    said = json.loads(protocol.hello(protocol.Hello(1280, 720, 5, "xvfb", True, "none", True)))
    assert said == {
        "t": "hello", "v": 1, "w": 1280, "h": 720, "fps": 5,
        "backend": "xvfb", "native_input": True, "touch": "none", "control": True,
    }  # fmt: skip


def test_a_frame_has_an_eighteen_byte_little_endian_header():
    message = protocol.frame(b"picture", (640, 360), 5, 1_700_000_000_123)
    assert struct.unpack("<BBHHIQ", message[:18]) == (1, 0, 640, 360, 5, 1_700_000_000_123)
    assert message[18:] == b"picture"


def test_control_tells_each_viewer_who_drives():
    said = json.loads(protocol.control(2, 1, (2, 3)))
    assert said == {"t": "control", "you": 2, "driver": 1, "driving": False, "asking": [2, 3]}
    assert json.loads(protocol.error("no"))["message"] == "no"
