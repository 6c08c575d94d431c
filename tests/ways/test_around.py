"""Each known way around a browser's proxy, tried by a real Chromium: nothing arrives that was not counted."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import BrowserContext, Error, Page

from chaser_server.chromium.find import find_chromium
from tests.api import Api
from tests.ways.origin import Answer, CountingSite
from tests.ways.seen import agreed, egress, events_of_kind, eventually, ledger


class Datagrams(asyncio.DatagramProtocol):
    """A UDP listener on every address of this machine, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    def datagram_received(self, data: bytes, address: object) -> None:
        self.heard.append(data)

    async def only_hears(self, word: bytes) -> None:
        """Say a word ourselves; it must come, and nothing else may have come before it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as voice:
            voice.sendto(word, ("127.0.0.1", self.port))
        async with asyncio.timeout(10):
            while word not in self.heard:
                await asyncio.sleep(0)
        assert self.heard == [word]


@asynccontextmanager
async def datagrams(port: int = 0) -> AsyncIterator[Datagrams]:
    loop = asyncio.get_running_loop()
    transport, listener = await loop.create_datagram_endpoint(Datagrams, local_addr=("0.0.0.0", port))
    listener.port = transport.get_extra_info("sockname")[1]
    try:
        yield listener
    finally:
        transport.close()


def outward_address() -> str:
    """This machine's address on the network, or loopback where it has none; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def processes(api: Api, session_id: str) -> dict[int, str]:
    """The session's processes and their command lines."""
    [launched] = await events_of_kind(api, session_id, "launched")
    found: dict[int, str] = {}
    wanted = [int(str(launched["pid"]))]
    for pid in wanted:
        try:
            found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            wanted += [
                int(child)
                for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def browser_pid(api: Api, session_id: str) -> int:
    lines = await processes(api, session_id)
    return next(pid for pid, line in lines.items() if "/chromium" in line.split()[0] and "--type=" not in line)


def datagrams_sent(pid: int) -> int:
    """UDP datagrams that left a socket in the network namespace of this process, wherever to."""
    names, values = (
        line.split() for line in Path(f"/proc/{pid}/net/snmp").read_text().splitlines() if line.startswith("Udp:")
    )
    return int(values[names.index("OutDatagrams")])


class Cdp:
    """A plain DevTools client, for what Playwright does not let one ask."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._numbers = count(1)

    async def call(self, method: str, session: str | None = None, **params: object) -> dict[str, object]:
        number = next(self._numbers)
        about = {"sessionId": session} if session else {}
        await self._ws.send_json({"id": number, "method": method, "params": params, **about})
        while (message := await self._ws.receive_json()).get("id") != number:
            pass
        result: dict[str, object] = message["result"]
        return result


@pytest.fixture
async def cdp() -> AsyncIterator[object]:
    async with aiohttp.ClientSession() as http:

        async def to(session: dict[str, object]) -> Cdp:
            return Cdp(await http.ws_connect(str(session["cdp_url"]), max_msg_size=0))

        yield to


STUN = """async urls => {
    const connection = new RTCPeerConnection({iceServers: [{urls}]});
    connection.createDataChannel('x');
    const found = [];
    connection.onicecandidate = event => event.candidate && found.push(event.candidate.candidate);
    await connection.setLocalDescription(await connection.createOffer());
    await new Promise(done => setTimeout(done, 1000));  // without a network it gathers for ever, and finds nothing
    return found;
}"""


async def test_webrtc_finds_no_network_to_send_datagrams_to(api, connect, counting):
    async with datagrams() as listener:
        session = await api.ready()
        page = (await connect(session)).contexts[0].pages[0]
        await page.goto(counting.url)
        pid = await browser_pid(api, session["id"])
        hosts = ("127.0.0.1", outward_address())
        assert await page.evaluate(STUN, [f"stun:{host}:{listener.port}" for host in hosts]) == []
        assert datagrams_sent(pid) == 0
        await listener.only_hears(b"ours")
        await agreed(api, session["id"], lambda: counting.counts)


async def test_a_session_has_no_network_but_its_own_loopback(api):
    session = await api.ready()
    pid = await browser_pid(api, session["id"])
    devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


async def test_quic_that_a_site_asks_for_stays_on_the_counted_way(serve, connect, tls):
    async with CountingSite(tls).serving() as site, datagrams(site.port) as listener:
        site._headers["Alt-Svc"] = f'h3=":{site.port}"; ma=3600'
        wanted = ["--enable-quic", f"--origin-to-force-quic-on=localhost:{site.port}"]
        api = await serve(profiles={"quic": {"extra_args": wanted}})
        session = await api.ready(profile="quic")
        context = await (await connect(session)).new_context(ignore_https_errors=True)
        page = await context.new_page()
        for _ in range(2):
            await page.goto(site.url)
        assert await page.evaluate("() => performance.getEntriesByType('navigation')[0].nextHopProtocol") == "http/1.1"
        await listener.only_hears(b"ours")
        await agreed(api, session["id"], lambda: site.counts)


async def test_prefetched_names_are_never_looked_up_and_preconnects_are_counted(api, connect, counting):
    async with CountingSite().serving() as other:
        counting.pages["/hints"] = Answer(
            "<link rel=dns-prefetch href=//leak-a.invalid><link rel=preconnect href=http://leak-b.invalid>"
            f"<link rel=preconnect href={other.url}><title>hints</title>"
        )
        session = await api.ready()
        pid = await browser_pid(api, session["id"])
        page = (await connect(session)).contexts[0].pages[0]
        await page.goto(f"{counting.url}/hints")
        await page.evaluate("url => fetch(url, {mode: 'no-cors'})", other.url)
        assert datagrams_sent(pid) == 0
        await agreed(api, session["id"], lambda: both(counting.counts, other.counts))
        [row] = await ledger(api, session["id"])
        assert row["connections"] == len(counting.sides) + len(other.sides)


def both(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


@pytest.mark.parametrize("way", ["direct://", "another proxy"])
async def test_a_context_with_a_proxy_of_its_own_reaches_nothing(way, api, cdp, counting):
    async with CountingSite().serving() as proxy:
        session = await api.ready()
        client = await cdp(session)
        server = way if way == "direct://" else f"http://127.0.0.1:{proxy.port}"
        made = await client.call("Target.createBrowserContext", proxyServer=server, proxyBypassList="<-loopback>")
        context = made["browserContextId"]
        target = (await client.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        attached = (await client.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for host in ("localhost", "127.0.0.1", outward_address()):
            answer = await client.call("Page.navigate", str(attached), url=f"http://{host}:{counting.port}/")
            assert str(answer["errorText"]).startswith("net::ERR_")
        assert counting.sides == proxy.sides == []
        assert await egress(api, session["id"]) == (0, 0)


WORKER = """
let on = true;
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));
self.addEventListener('message', event => event.waitUntil((async () => {
    while (on) await fetch('/beat', {method: 'POST', body: 'x'.repeat(1000), cache: 'no-store'});
})()));
"""
START_WORKER = """async () => {
    await navigator.serviceWorker.register('/worker.js');
    (await navigator.serviceWorker.ready).active.postMessage('go');
}"""


async def test_a_service_worker_is_counted_behind_its_page_and_silent_behind_the_204(api, connect, counting):
    counting.pages["/worker.js"] = Answer(WORKER, "text/javascript")
    session = await api.ready()
    pid = await browser_pid(api, session["id"])
    context = (await connect(session)).contexts[0]
    page = await context.new_page()
    await page.goto(counting.url)
    await page.evaluate(START_WORKER)
    await counting.came("/beat")
    await page.close()
    await counting.came("/beat", counting.requests.count("/beat") + 20)
    await api.delete(session["id"])
    at_the_204 = counting.counts
    assert all(side.is_over for side in counting.sides)
    await eventually(lambda: gone(pid))
    assert counting.counts == at_the_204
    assert (await egress(api, session["id"]))[0] <= at_the_204[0]
    await agreed_within_a_request(api, session["id"], at_the_204)


async def agreed_within_a_request(api: Api, session_id: str, counts: tuple[int, int]) -> None:
    """What was on its way at the moment of a cut arrives or does not: nobody can know."""
    counted = await egress(api, session_id)
    assert all(abs(ours - theirs) < 3000 for ours, theirs in zip(counted, counts, strict=True)), (counted, counts)


async def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


BACKGROUND = """
(async () => {
    await fetch('ORIGIN/from-extension', {method: 'POST', body: 'x'.repeat(5000)});
    await chrome.proxy.settings.set({value: {mode: 'direct'}, scope: 'regular'});
    await fetch('ORIGIN/past-the-proxy').catch(() => 0);
    const {value} = await chrome.proxy.settings.get({});
    chrome.tabs.create({url: 'about:blank#' + value.mode});
})();
"""


@pytest.fixture
def browser_folder() -> Iterator[Path]:
    """A folder the sandbox shows, with a Chromium in it: not in /tmp, which is the sandbox's own."""
    folder = Path(tempfile.mkdtemp(prefix="chaser-browser-", dir="/var/tmp"))
    folder.chmod(0o755)
    real = find_chromium().path
    (folder / "start").write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    (folder / "start").chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def tab_at(context: BrowserContext, url: str) -> Page | None:
    return next((tab for tab in context.pages if tab.url == url), None)


async def test_an_extension_is_counted_and_finds_no_way_around_when_it_takes_the_proxy_away(
    serve, counting, connect, browser_folder
):
    extension = browser_folder / "extension"
    extension.mkdir()
    manifest = {
        "name": "way around",
        "version": "1",
        "manifest_version": 3,
        "permissions": ["proxy"],
        "host_permissions": ["<all_urls>"],
        "background": {"service_worker": "background.js"},
    }
    (extension / "manifest.json").write_text(json.dumps(manifest))
    (extension / "background.js").write_text(BACKGROUND.replace("ORIGIN", counting.url))
    loading = [f"--load-extension={extension}", "--disable-features=DisableLoadExtensionCommandLineSwitch"]
    api = await serve(
        browser={"executable": str(browser_folder / "start")}, profiles={"extended": {"extra_args": loading}}
    )
    session = await api.ready(profile="extended")
    await counting.came("/from-extension")
    context = (await connect(session)).contexts[0]
    tab = await eventually(lambda: tab_at(context, "about:blank#direct"))
    with pytest.raises(Error, match="net::ERR_"):
        await tab.goto(counting.url)
    assert "/past-the-proxy" not in counting.requests
    await agreed(api, session["id"], lambda: counting.counts)


async def test_a_beacon_at_the_close_of_a_page_is_counted(api, connect, counting):
    session = await api.ready()
    context = (await connect(session)).contexts[0]
    page = await context.new_page()
    await page.goto(counting.url)
    await page.evaluate("""() => addEventListener('pagehide', () => {
        navigator.sendBeacon('/beacon', 'x'.repeat(5000));
        fetch('/kept-alive', {method: 'POST', body: 'y'.repeat(5000), keepalive: true});
    })""")
    await page.close()
    await counting.came("/beacon")
    await counting.came("/kept-alive")
    await agreed(api, session["id"], lambda: counting.counts)
