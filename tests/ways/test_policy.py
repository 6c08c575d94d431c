"""Where pages may go, as they see it."""

from __future__ import annotations

import pytest

from tests.ways.seen import events_of_kind, eventually

PUBLIC = {"listen": "0.0.0.0:0"}


async def refusals(api, session_id: str, number: int) -> list[dict[str, object]]:
    async def told() -> list[dict[str, object]] | None:
        found = await events_of_kind(api, session_id, "egress_refused")
        return found if len(found) >= number else None

    return await eventually(told)


async def text_at(page, url: str) -> tuple[int, str]:
    answer = await page.goto(url)
    return answer.status, await page.evaluate("document.body.innerText")


async def test_a_public_server_leads_no_page_inward_in_any_spelling(serve, connect, counting):
    api = await serve(server=PUBLIC)
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    urls = [
        counting.url,
        f"http://127.0.0.1:{counting.port}/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
        "http://169.254.169.254/",
        "http://localhost./",
    ]
    for url in urls:
        status, text = await text_at(page, url)
        assert (url, status) == (url, 403)
        assert "which is not open to sessions here" in text
    events = await refusals(api, session["id"], 5)
    assert {event["rule"] for event in events} == {"inward"}
    assert "169.254.169.254:80" in {event["destination"] for event in events}
    assert counting.sides == []


async def test_https_and_fetches_are_refused_inward_too(serve, connect, counting):
    api = await serve(server=PUBLIC)
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    with pytest.raises(Exception, match="ERR_TUNNEL_CONNECTION_FAILED"):
        await page.goto(f"https://127.0.0.1:{counting.port}/")
    [event] = await refusals(api, session["id"], 1)
    assert event["destination"] == f"127.0.0.1:{counting.port}"
    assert counting.sides == []


async def test_egress_allow_opens_what_it_names_and_no_more(serve, connect, counting):
    api = await serve(server=PUBLIC, egress={"allow": [f"127.0.0.1:{counting.port}"]})
    page = (await connect(await api.ready())).contexts[0].pages[0]
    assert (await text_at(page, f"http://127.0.0.1:{counting.port}/"))[0] == 200
    assert (await text_at(page, f"http://127.0.0.1:{counting.port + 1}/"))[0] == 403


async def test_egress_block_closes_what_it_names(serve, connect, counting):
    api = await serve(egress={"block": ["*.blocked.test", f"127.0.0.1:{counting.port}"]})
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    for url in ("http://a.blocked.test/", f"http://2130706433:{counting.port}/"):
        status, text = await text_at(page, url)
        assert (status, "egress.block" in text) == (403, True)
    assert {event["rule"] for event in await refusals(api, session["id"], 2)} == {"blocked"}
    assert counting.sides == []


async def test_a_server_on_loopback_refuses_only_itself(api, connect, counting):
    session = await api.ready()
    page = (await connect(session)).contexts[0].pages[0]
    assert (await text_at(page, counting.url))[0] == 200
    port = api.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"):
        status, text = await text_at(page, f"http://{host}:{port}/healthz")
        assert (host, status) == (host, 403)
        assert "belongs to the server itself" in text
    assert {event["rule"] for event in await refusals(api, session["id"], 3)} == {"own_port"}
