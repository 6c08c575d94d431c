"""docs/deploy/nginx.conf in a real nginx, with TLS, in front of a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import async_playwright

from tests.api import Api
from tests.conftest import Serve
from tests.egress.upstreams import certificate, free_port, needed, running, trusting
from tests.processes import ROOT
from tests.site import Site

# What Debian's own nginx.conf is around the example, without its folders, which only root may write to. One process, so
# that no worker outlives the test.
AROUND = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/chaser-server.conf;
}}
"""


@dataclass(frozen=True)
class Front:
    """A running nginx: its secure host and port, and its plain address."""

    host: str
    plain_url: str


@asynccontextmanager
async def nginx(api: Api, folder: Path) -> AsyncIterator[Front]:
    """The example with this machine's ports, name and certificate in it, and nothing else changed."""
    secure, plain, pem = free_port(), free_port(), certificate(folder)
    example = (ROOT / "docs" / "deploy" / "nginx.conf").read_text()
    for theirs, ours in {
        "server 127.0.0.1:7070;": f"server {api.url.removeprefix('http://')};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "server_name browsers.example.com;": "server_name localhost;",
        "/etc/ssl/browsers.example.com/fullchain.pem": f"{folder}/cert.pem",
        "/etc/ssl/browsers.example.com/privkey.pem": str(pem),
        "/var/log/nginx/chaser-server.log": f"{folder}/access.log",
    }.items():
        assert theirs in example
        example = example.replace(theirs, ours)
    (folder / "chaser-server.conf").write_text(example)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    async with running(secure, needed("nginx"), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"):
        yield Front(f"localhost:{secure}", f"http://localhost:{plain}")


async def test_a_session_works_over_wss_through_nginx(
    serve: Serve, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = await serve(
        server={"trusted_proxies": ["127.0.0.1"]},
        egress={"private_networks": "closed", "allow": [f"localhost:{site.port}"]},
    )
    async with nginx(inner, tmp_path) as front:
        monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "cert.pem"))
        secure = aiohttp.TCPConnector(ssl=trusting(tmp_path))
        async with aiohttp.ClientSession(f"https://{front.host}", connector=secure) as outside:
            authorization = {"Authorization": f"Bearer {inner.key}"}
            async with outside.post("/v1/sessions", json={}, headers=authorization) as answer:
                session = await answer.json()
            assert session["cdp_url"] == f"wss://{front.host}/sessions/{session['id']}"
            async with async_playwright() as playwright:
                browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
                page = browser.contexts[0].pages[0]
                await page.goto(site.url)
                assert await page.title() == "A local site"
                await page.evaluate("window.big = 'x'.repeat(6 * 2 ** 20)")
                assert len(await page.evaluate("window.big")) == 6 * 2**20
                await browser.close()
            door = f"/sessions/{session['id']}/json/version?key={inner.key}"
            async with outside.get(door) as answer:
                assert (await answer.json())["webSocketDebuggerUrl"].startswith(f"wss://{front.host}/sessions/")
            async with outside.get(front.plain_url + "/v1/sessions", allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (308, "https://localhost/v1/sessions")
    said = (tmp_path / "access.log").read_text()
    assert f"GET /sessions/{session['id']}/json/version" in said
    assert inner.key not in said


async def test_closed_private_networks_close_the_hosts_loopback_to_sessions(serve: Serve, site: Site) -> None:
    api = await serve(egress={"private_networks": "closed"})
    session = await api.ready()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(session["cdp_url"])
        answer = await browser.contexts[0].pages[0].goto(site.url)
        assert answer is not None
        assert answer.status == 403
