"""The dashboard as a person uses it: a real browser on its pages, a real session behind them."""

from __future__ import annotations

from playwright.async_api import Browser, Page, Playwright, ViewportSize, expect

from tests.api import Api
from tests.conftest import Serve
from tests.site import Site
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake
from tests.web.test_dashboard import link

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
INSIDE = """() => {
  document.body.outerHTML = `<body style="margin:0"><textarea style="position:fixed;left:200px;top:150px;width:400px;
    height:200px"></textarea></body>`;
  window.log = [];
  for (const type of ["click", "keydown"]) addEventListener(type, e => log.push({type, key: e.key, x: e.clientX,
    y: e.clientY, trusted: e.isTrusted, on: e.target.tagName}), true);
}"""


async def sit_down(viewer: Browser, api: Api, viewport: ViewportSize = DESKTOP) -> tuple[Page, list[str]]:
    """A person who has signed in, and everything their browser complains of."""
    page = await viewer.new_page(viewport=viewport, reduced_motion="reduce")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith((api.url, "blob:")) or complaints.append(request.url))
    await page.goto(api.url + await link(api))
    return page, complaints


async def test_a_person_creates_a_session_uses_it_by_hand_and_ends_it(
    viewer: Browser, api: Api, playwright: Playwright
) -> None:
    page, complaints = await sit_down(viewer, api)
    await expect(page.get_by_text("No sessions yet")).to_be_visible()
    await page.get_by_role("button", name="New session").click()
    await page.get_by_label("Lifetime in minutes").fill("5")
    await page.get_by_role("button", name="Create", exact=True).click()
    row = page.get_by_role("row").nth(1)
    await expect(row.locator(".pill")).to_have_text("Ready", timeout=15_000)
    await expect(row.locator("img[src^=blob]")).to_be_visible()  # its thumbnail
    await row.get_by_role("link").click()
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#driver")).to_have_text("You drive")
    session_id = page.url.rpartition("/")[2]

    session = await playwright.chromium.connect_over_cdp((await api.get(session_id))["cdp_url"])
    inside = session.contexts[0].pages[0]
    await inside.evaluate(INSIDE)
    await inside.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = await page.locator("#screen canvas").bounding_box()
    assert box is not None
    scale = box["width"] / 1280
    await page.mouse.click(box["x"] + 300.5 * scale, box["y"] + 200.5 * scale)
    await page.keyboard.type("Hi, 2 you!")
    await inside.wait_for_function("document.querySelector('textarea').value === 'Hi, 2 you!'")
    log = await inside.evaluate("log")
    assert all(event["trusted"] and event["on"] == "TEXTAREA" for event in log)
    click = next(event for event in log if event["type"] == "click")
    assert abs(click["x"] - 300) <= 1
    assert abs(click["y"] - 200) <= 1

    await page.keyboard.press("F6")
    await expect(page.get_by_role("button", name="Events")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".timeline")).to_contain_text("Viewer connected")
    await page.keyboard.press("Escape")
    await expect(page.locator("#events")).to_be_hidden()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Screenshot").click()
    assert (await (await download.value).path()).read_bytes().startswith(b"\x89PNG")
    await page.get_by_role("button", name="Release control").click()
    await expect(page.locator("#driver")).to_have_text("Nobody drives")
    await page.get_by_role("button", name="Take control").click()
    await expect(page.locator("#driver")).to_have_text("You drive")

    await page.get_by_role("button", name="End", exact=True).click()
    await page.get_by_role("button", name="End session").click()
    await expect(page.locator("#overlay")).to_contain_text("The session has ended")
    assert (await api.get(session_id))["ended_reason"] == "client_delete"
    assert complaints == []


async def test_two_people_hand_control_to_each_other(viewer: Browser, api: Api) -> None:
    session = await api.ready()
    one, one_says = await sit_down(viewer, api)
    other, other_says = await sit_down(viewer, api)
    for page in (one, other):
        await page.goto(f"{api.url}/dashboard/sessions/{session['id']}")
        await expect(page.locator("#state")).to_have_text("Live")
    await expect(other.locator("#driver")).to_have_text("Viewer 1 drives")
    await other.get_by_role("button", name="Ask for control").click()
    await expect(one.locator("#driver")).to_have_text("Viewer 2 asks for control")
    await one.get_by_role("button", name="Hand to viewer 2").click()
    await expect(other.locator("#driver")).to_have_text("You drive")
    await expect(one.locator("#driver")).to_have_text("Viewer 2 drives")
    assert one_says + other_says == []


async def test_the_pages_fit_a_phone_and_remember_the_theme(viewer: Browser, api: Api) -> None:
    session = await api.ready()
    page, complaints = await sit_down(viewer, api, PHONE)
    await page.get_by_role("button", name="Switch between light and dark").click()
    for path in ("", f"/sessions/{session['id']}", "/embed-example"):
        await page.goto(f"{api.url}/dashboard{path}")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await expect(page.locator("h1")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    await page.get_by_role("button", name="Watch").click()
    await expect(page.locator("#said")).to_contain_text("fps")
    assert complaints == []


async def test_the_list_loads_more_filters_and_tells_when_the_server_is_away(viewer: Browser, api: Api) -> None:
    for _ in range(21):
        await api.delete((await api.create())["id"])
    page, complaints = await sit_down(viewer, api)
    rows = page.locator("#sessions > tbody > tr")
    await expect(rows).to_have_count(20)
    await page.get_by_role("button", name="Load more").click()
    await expect(rows).to_have_count(21)
    await expect(page.get_by_role("button", name="Load more")).to_be_hidden()
    await page.get_by_text("Ready", exact=True).click()
    await expect(page.get_by_text("No session has this status now.")).to_be_visible()
    await page.get_by_text("Closed", exact=True).click()
    await expect(rows).to_have_count(20)
    assert complaints == []
    await page.context.set_offline(True)
    await expect(page.locator("#problem")).to_contain_text("does not answer")


async def test_a_signed_out_person_is_asked_to_sign_in_again(viewer: Browser, api: Api) -> None:
    page, complaints = await sit_down(viewer, api)
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/dashboard/sign-in")
    await page.goto(f"{api.url}/dashboard")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert complaints == []


async def test_the_password_form_lets_in_who_knows_it(viewer: Browser, serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), dashboard={"password": "correct horse"})
    page = await viewer.new_page()
    await page.goto(f"{api.url}/dashboard")
    await page.get_by_label("Password").fill("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("That password is not right.")
    await page.get_by_label("Password").fill("correct horse")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()


async def test_a_link_on_another_site_leads_a_signed_in_person_in(viewer: Browser, fake_api: Api, site: Site) -> None:
    page, _ = await sit_down(viewer, fake_api)
    session = await fake_api.ready()
    await page.goto(f"{site.url}/")  # localhost; the dashboard is 127.0.0.1, which is another site
    await page.evaluate(f"location.href = '{fake_api.url}/dashboard/sessions/{session['id']}'")
    await expect(page.locator("#tools")).to_be_visible()


async def test_a_page_of_another_origin_embeds_the_player(viewer: Browser, serve: Serve, site: Site) -> None:
    api = await serve(server={"allowed_origins": [site.url]})
    session = await api.ready()
    token = (await api.ask("POST", f"/v1/sessions/{session['id']}/preview-token", json={"input": False})).json
    page = await viewer.new_page()
    await page.goto(f"{site.url}/")
    shown = await page.evaluate(
        """async ([server, token]) => {
            const { mount } = await import(`${server}/dashboard/static/player.js`);
            return new Promise(done => mount(document.body, {
              getToken: async () => token, onStatus: status => status.latencyMs && done(status) }));
        }""",
        [api.url, token],
    )
    assert (shown["state"], shown["width"], shown["driving"]) == ("live", 1280, False)
