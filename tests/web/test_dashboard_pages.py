"""Keys, usage and audit as a person sees them: a real browser on the pages, fake browsers behind the sessions."""

from __future__ import annotations

import asyncio
import re

from playwright.async_api import Browser, expect

from chaser_server.model import LedgerRow, utc_now
from chaser_server.web.pages import STATIC
from chaser_server.web.signin import PASSWORDS_PER_MINUTE
from tests.api import Api
from tests.substrates import FakeBrowser, FakeSubstrate
from tests.web.conftest import ServeFake
from tests.web.cookies import Dashboard
from tests.web.test_dashboard_browser import PHONE, sit_down

INK = """() => {
  const canvas = document.querySelector("#chart canvas");
  const probe = document.createElement("i");
  probe.style.color = "var(--accent)";
  document.body.append(probe);
  const [r, g, b] = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let at = 0; at < pixels.length; at += 4)
    count += pixels[at] === r && pixels[at + 1] === g && pixels[at + 2] === b;
  return count;
}"""


class TalkativeBrowser(FakeBrowser):
    """One that has fetched from two hosts."""

    def ledger(self) -> list[LedgerRow]:
        hosts = {"example.org": 900_000, "cdn.example.net": 300_000}
        now = utc_now()
        return [
            LedgerRow(host=host, upstream="", up=1_000, down=down, connections=1, first_at=now, last_at=now)
            for host, down in hosts.items()
        ]


async def used(api: Api, substrate: FakeSubstrate) -> None:
    """A session that has moved 1.2 MB, and is over."""
    session = await api.ready()
    browser = substrate.browsers[0]
    browser.__class__ = TalkativeBrowser
    browser.egress.up, browser.egress.down = 2_000, 1_200_000
    await api.delete(session["id"])


async def test_the_hosts_of_this_month_are_told_to_their_workspace_alone(
    fake_api: Api, substrate: FakeSubstrate
) -> None:
    await used(fake_api, substrate)
    path = "/dashboard/data/usage/hosts"
    assert (await fake_api.ask("GET", path, key="")).status == 401
    assert (await (await Dashboard.of(fake_api)).ask("GET", path)).json["data"] == [
        {"host": "example.org", "bytes_up": 1_000, "bytes_down": 900_000},
        {"host": "cdn.example.net", "bytes_up": 1_000, "bytes_down": 300_000},
    ]
    assert (await (await Dashboard.of(fake_api, "other")).ask("GET", path)).json == {"data": []}


async def test_a_file_of_a_library_is_served_and_its_licence_lies_beside_it(fake_api: Api) -> None:
    answer = await fake_api.ask("GET", "/dashboard/static/vendor/uPlot.esm.js")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert b"MIT Licensed" in answer.body[:400]
    assert (STATIC / "vendor" / "uPlot-LICENSE.txt").exists()
    for name in ("vendor", "vendor/", "vendor/none.js", "vendor/uPlot-LICENSE.txt", "vendor%2F..%2F..%2Fpages.py"):
        assert (await fake_api.ask("GET", f"/dashboard/static/{name}")).status == 404


async def test_a_person_makes_a_key_sees_it_once_rotates_and_revokes_it(viewer: Browser, fake_api: Api) -> None:
    page, complaints = await sit_down(viewer, fake_api)
    await page.get_by_role("link", name="Keys").click()
    await page.get_by_role("button", name="New key").click()
    await page.get_by_label("Name").fill("<b>nightly</b>")
    await page.get_by_role("radio", name="Test").check()
    await page.get_by_role("button", name="Create key").click()
    box = page.get_by_label("The key")
    await expect(box).to_have_value(re.compile("cha_test_.{20,}"))
    await expect(box).to_be_focused()
    secret = await box.input_value()
    await page.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="<b>nightly</b>")
    await expect(row).to_contain_text(f"{secret[:16]}…Test")
    assert secret not in await page.content()
    await expect(box).to_have_value("")  # emptied by an event behind the click
    assert (await fake_api.ask("GET", "/v1/usage", key=secret)).status == 200

    await row.get_by_role("button", name="Rotate").click()
    await page.get_by_label("Days the old key still works").fill("3")
    await page.keyboard.press("Enter")
    await expect(box).to_have_value(re.compile("cha_test_"))
    await page.keyboard.press("Escape")
    await expect(row.filter(has_text="Ends in 3 d")).to_have_count(1)
    old = row.filter(has_text="Ends in 3 d")
    await old.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#revoke")).to_be_hidden()
    await expect(old).to_have_count(1)
    await old.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Revoke key").click()
    await expect(row.filter(has_text="Revoked")).to_have_count(1)
    assert (await fake_api.ask("GET", "/v1/usage", key=secret)).status == 401
    assert complaints == []


async def test_usage_is_drawn_and_told_in_numbers(viewer: Browser, fake_api: Api, substrate: FakeSubstrate) -> None:
    await used(fake_api, substrate)
    page, complaints = await sit_down(viewer, fake_api)
    await page.goto(f"{fake_api.url}/dashboard/usage")
    await expect(page.locator("#by-host tbody tr")).to_have_count(2)
    await expect(page.locator("#by-host tbody tr").first).to_contain_text("example.org")
    await expect(page.locator("#totals")).to_contain_text("1.2 MB")
    await expect(page.locator("#by-key")).to_contain_text("first start")
    await expect(page.locator("#by-region")).to_contain_text("Direct")
    await page.wait_for_function(f"({INK})() > 100")
    for _ in range(2):
        await page.get_by_role("button", name="Switch between light and dark").click()
        await page.wait_for_function(f"({INK})() > 100")  # in the colours of the other theme
    await page.get_by_text("As numbers").click()
    await expect(page.locator("#days tbody tr").first).to_contain_text("1.2 MB")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download CSV").click()
    assert (await (await download.value).path()).read_text().startswith("date,key_id")
    assert complaints == []


async def test_the_audit_shows_events_as_they_come_and_by_kind(
    viewer: Browser, fake_api: Api, substrate: FakeSubstrate
) -> None:
    await used(fake_api, substrate)
    page, complaints = await sit_down(viewer, fake_api)
    await page.goto(f"{fake_api.url}/dashboard/audit")
    rows = page.locator("#events tbody tr:visible")
    await expect(rows).to_have_count(3)
    await expect(rows.first).to_contain_text("Signed in")
    await expect(page.locator("#state")).to_have_text("Live")
    dashboard = await Dashboard.of(fake_api)
    assert (await dashboard.ask("POST", "/v1/keys", json={"name": "watched"})).status == 201
    await expect(rows.first).to_contain_text("Key created")
    await expect(rows.first).to_contain_text("watched")
    await expect(page.locator("#announce")).to_have_text("Key created by dashboard")
    await page.get_by_label("Show events of kind").select_option("session_ended")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("127.0.0.1")
    assert complaints == []


async def test_the_three_pages_fit_a_phone(viewer: Browser, serve_fake: ServeFake) -> None:
    substrate = FakeSubstrate()
    api = await serve_fake(substrate)
    await used(api, substrate)
    page, complaints = await sit_down(viewer, api, PHONE)
    for name, shown in {"keys": "#keys", "usage": "#by-host tbody tr", "audit": "#events"}.items():
        await page.goto(f"{api.url}/dashboard/{name}")
        await expect(page.locator(shown).first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert complaints == []


async def test_the_page_of_sessions_shows_who_waits_while_somebody_does(viewer: Browser, serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), limits={"concurrent_sessions": 1})
    holder = await api.create()
    page, _ = await sit_down(viewer, api, PHONE)
    await expect(page.locator("#sessions > tbody > tr")).to_have_count(1)
    await expect(page.locator("#queue")).to_be_hidden()
    asked = api.ask("POST", "/v1/sessions", headers={"Prefer": "wait=60"}, json={"profile": "mobile"})
    in_line = asyncio.create_task(asked)
    await expect(page.locator("#queue li")).to_contain_text(f"first start {api.key[:16]}…mobile0:0")
    assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await api.delete(holder["id"])
    assert (await in_line).status == 201
    await expect(page.locator("#queue")).to_be_hidden()

    # A line that cannot be had leaves the table as fresh as ever.
    await page.route("**/dashboard/data/queue", lambda route: route.fulfill(status=500))
    await api.delete((await in_line).json["id"])
    await expect(page.locator("#sessions .pill").first).to_have_text("Closed")
    await expect(page.locator("#problem")).to_contain_text("The server answered 500.")


async def test_signing_out_everywhere_ends_at_the_sign_in_page(viewer: Browser, fake_api: Api) -> None:
    page, _ = await sit_down(viewer, fake_api)
    other, _ = await sit_down(viewer, fake_api)
    await page.goto(f"{fake_api.url}/dashboard/keys")
    await page.get_by_role("button", name="Sign out everywhere").click()
    await page.locator("#everywhere").get_by_role("button", name="Sign out everywhere").click()
    await page.wait_for_url("**/dashboard/sign-in")
    await other.goto(f"{fake_api.url}/dashboard/usage")
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_who_guesses_too_often_is_told_to_wait(viewer: Browser, serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), dashboard={"password": "correct horse"})
    for _ in range(PASSWORDS_PER_MINUTE):
        await api.ask("POST", "/dashboard/login", key="", data={"password": "guess"}, allow_redirects=False)
    page = await viewer.new_page()
    await page.goto(f"{api.url}/dashboard/sign-in")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Too many tries. Please wait ")


async def test_the_page_of_a_session_without_a_screen_says_so(viewer: Browser, fake_api: Api) -> None:
    answer = await (await Dashboard.of(fake_api)).ask("POST", "/v1/keys", json={"name": "rehearsal", "mode": "test"})
    created = await fake_api.ask("POST", "/v1/sessions", key=answer.json["secret"])
    page, _ = await sit_down(viewer, fake_api, PHONE)
    await page.goto(f"{fake_api.url}/dashboard/sessions/{created.json['id']}")
    await expect(page.locator("#overlay-text")).to_contain_text("Sessions of cha_test_ keys have no screen")
    await expect(page.locator("#state")).to_have_text("No live view")
    await fake_api.delete(created.json["id"])
    await expect(page.locator("#state")).to_have_text("Ended")
