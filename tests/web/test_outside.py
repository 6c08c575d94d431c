"""Which web pages are the server's own: told by their Origin, and by the name they came under."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from chaser_server.config_file import parse
from chaser_server.errors import Forbidden
from chaser_server.web.outside import Outside, is_local
from tests.api import Api


def admits(server: dict[str, Any], host: str, origin: str, *, own_only: bool = False) -> bool:
    """Whether a server with these settings takes a request to `host` from a page of `origin`."""
    request = make_mocked_request("GET", "/", headers={"Host": host, "Origin": origin})
    try:
        Outside(parse({"server": server}).server).check_origin(request, own_only=own_only)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:7070", True), ("127.0.0.1", True), ("[::1]:7070", True), ("192.0.2.7:80", True),
        ("localhost:7070", True), ("LocalHost", True), ("localhost.:7070", True), ("app.localhost:7070", True),
        ("evil.example:7070", False), ("localhost.evil.example", False), ("notlocalhost", False),
        ("127.0.0.1.evil.example:7070", False), ("", False), ("[::1", False), (":7070", False),
    ],
)  # fmt: skip
def test_only_addresses_and_localhost_can_mean_this_machine_alone(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize("host", ["127.0.0.1:7070", "[::1]:7070", "localhost:7070", "app.localhost:7070"])
def test_a_page_of_the_same_local_host_is_our_own(host: str) -> None:
    assert admits({}, host, f"http://{host}")


def test_a_foreign_name_that_leads_here_makes_no_page_our_own() -> None:
    assert not admits({}, "evil.example:7070", "http://evil.example:7070")
    assert not admits({"listen": "[::1]:7070"}, "evil.example:7070", "http://evil.example:7070")


@pytest.mark.parametrize(
    "server",
    [{"listen": "0.0.0.0:7070"}, {"trusted_proxies": ["127.0.0.1"]}, {"allowed_origins": ["http://our.example:7070"]}],
)
def test_a_name_counts_where_the_operator_lets_others_in(server: dict[str, Any]) -> None:
    assert admits(server, "our.example:7070", "http://our.example:7070")


def test_behind_a_public_url_its_origin_alone_is_our_own() -> None:
    server = {"public_url": "https://our.example"}
    assert admits(server, "our.example", "https://our.example")
    assert not admits(server, "evil.example:7070", "http://evil.example:7070")
    assert not admits(server, "127.0.0.1:7070", "http://127.0.0.1:7070")


def test_what_only_our_own_pages_may_do_no_allowed_origin_may() -> None:
    server = {"allowed_origins": ["https://app.example"]}
    assert admits(server, "127.0.0.1:7070", "https://app.example")
    assert not admits(server, "127.0.0.1:7070", "https://app.example", own_only=True)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/dashboard/login"), ("POST", "/dashboard/logout"), ("GET", "/sessions/x")]
)
async def test_a_rebound_page_is_refused_at_every_door(fake_api: Api, method: str, path: str) -> None:
    rebound = {"Host": "evil.example:7070", "Origin": "http://evil.example:7070"}
    answer = await fake_api.ask(method, path, key="", headers=rebound)
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden")
    assert "server.public_url" in answer.json["error"]["message"]
