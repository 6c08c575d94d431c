from __future__ import annotations

import pytest
from relay_peers import KEY, SWITCHING

from chaser_server.errors import InvalidRequest
from chaser_server.relay.upgrade import Answer, checked_key, parse_answer, request_head

GOOD = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def test_a_proper_upgrade_gives_its_key() -> None:
    assert checked_key("GET", GOOD) == KEY


@pytest.mark.parametrize(
    ("method", "change", "named"),
    [
        ("POST", {}, "GET"),
        ("GET", {"Upgrade": ""}, "Upgrade header"),
        ("GET", {"Upgrade": "h2c"}, "Upgrade header"),
        ("GET", {"Connection": "keep-alive"}, "Connection"),
        ("GET", {"Sec-WebSocket-Version": "8"}, "Sec-WebSocket-Version"),
        ("GET", {"Sec-WebSocket-Key": ""}, "Sec-WebSocket-Key"),
        ("GET", {"Sec-WebSocket-Key": "dG9vIHNob3J0"}, "Sec-WebSocket-Key"),
        ("GET", {"Sec-WebSocket-Key": "not base64 at all!!"}, "Sec-WebSocket-Key"),
        ("GET", {"Sec-WebSocket-Key": "ключ"}, "Sec-WebSocket-Key"),
    ],
)
def test_what_is_wrong_with_an_upgrade_is_named(method: str, change: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        checked_key(method, GOOD | change)


@pytest.mark.parametrize("path", ["", "devtools", "/a b", "/a\r\nX: y", "/é"])
def test_a_path_that_cannot_stand_in_a_request_line_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match="path"):
        request_head(path, KEY)


def test_an_answer_is_parsed_as_soon_as_its_head_is_whole_and_what_follows_is_kept() -> None:
    for size in range(len(SWITCHING)):
        assert parse_answer(SWITCHING[:size]) is None
    assert parse_answer(SWITCHING + b"\x81\x00") == Answer(101, SWITCHING, b"\x81\x00")


def test_a_refusal_waits_for_its_body() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n"
    assert parse_answer(head + b"ab") is None
    assert parse_answer(head + b"abc") == Answer(404, head, b"abc")


def test_a_refusal_without_length_ends_with_its_connection() -> None:
    head = b"HTTP/1.1 500 Oh\r\n\r\n"
    assert parse_answer(head + b"ab") is None
    assert parse_answer(head + b"ab", ended=True) == Answer(500, head, b"ab")


@pytest.mark.parametrize("received", [b"SSH-2.0\r\n\r\n", b"HTTP/1.0 101 Old\r\n\r\n", b"x" * 20_000])
def test_what_is_no_http_answer_is_refused(received: bytes) -> None:
    with pytest.raises(ValueError):
        parse_answer(received)


def test_an_upstream_that_ends_within_its_head_has_not_answered() -> None:
    with pytest.raises(ValueError):
        parse_answer(b"HTTP/1.1 101", ended=True)
