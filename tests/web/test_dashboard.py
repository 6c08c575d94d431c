"""The dashboard by HTTP: who gets in, what pages allow themselves, and what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaser_server.model import Workspace, utc_now
from chaser_server.signing import LINK_LIFE, Signer
from chaser_server.store.database import Database
from chaser_server.store.secrets import load_secret
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.web.pages import STATIC
from tests.api import Answer, Api
from tests.substrates import FakeSubstrate
from tests.web.conftest import ServeFake

PAGES = ["/dashboard", "/dashboard/sessions/sess_unknown"] + [
    f"/dashboard/{name}" for name in ("keys", "usage", "audit", "embed-example")
]
PASSWORD = "correct horse"


class Person:
    """Somebody with a browser: keeps cookies, follows no redirect by itself."""

    def __init__(self, api: Api, http: aiohttp.ClientSession) -> None:
        self._api, self._http = api, http

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        async with self._http.request(method, self._api.url + path, allow_redirects=False, **options) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, body, await response.json() if is_json else None)

    async def post(self, path: str, **options: Any) -> Answer:
        """A POST from one of our own pages."""
        return await self.ask("POST", path, headers={"Origin": self._api.url}, **options)

    async def signed_in(self) -> Person:
        answer = await self.ask("GET", await link(self._api))
        assert (answer.status, answer.headers["Location"]) == (303, "/dashboard")
        return self


async def link(api: Api, workspace: Workspace | None = None, *, late: bool = False) -> str:
    """The path of a sign-in link, made as `python -m chaser_server login` makes it."""
    database = await Database.open(api.data_dir / "chaser.db")
    try:
        signer = Signer(await load_secret(database, "signing"))
        workspace = workspace or await WorkspaceStore(database).ensure_default()
    finally:
        await database.close()
    expires_at = utc_now() + (-LINK_LIFE if late else LINK_LIFE)
    return f"/dashboard/login?token={signer.sign_link(workspace.id, expires_at, workspace.sign_in_epoch)}"


@asynccontextmanager
async def visiting(api: Api) -> AsyncIterator[Person]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield Person(api, http)


@pytest.fixture
async def person(fake_api: Api) -> AsyncIterator[Person]:
    async with visiting(fake_api) as someone:
        yield someone


async def test_the_servers_address_leads_a_browser_to_the_dashboard_and_tells_a_program_where_things_are(
    fake_api: Api,
) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    answer = await fake_api.ask("GET", "/", key="", headers=browser, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard")
    for headers in ({}, {"Accept": "application/json"}):
        answer = await fake_api.ask("GET", "/", headers=headers)
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")
        assert all(path in answer.json["error"]["message"] for path in ("/v1", "/docs", "/dashboard"))


@pytest.mark.parametrize("path", PAGES)
async def test_a_stranger_is_sent_to_the_sign_in_page(person: Person, path: str) -> None:
    answer = await person.ask("GET", path)
    assert (answer.status, answer.headers["Location"]) == (303, "/dashboard/sign-in")
    assert (await person.ask("GET", "/dashboard/sign-in")).status == 200


async def test_a_stranger_sees_no_data(person: Person, fake_api: Api) -> None:
    session = await fake_api.ready()
    for path in ("", f"/{session['id']}", f"/{session['id']}/thumbnail"):
        assert (await person.ask("GET", f"/dashboard/data/sessions{path}")).status == 401


async def test_a_sign_in_link_opens_the_dashboard_once(person: Person, fake_api: Api) -> None:
    path = await link(fake_api)
    first = await person.ask("GET", path)
    assert (first.status, first.headers["Location"]) == (303, "/dashboard")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert (await person.ask("GET", "/dashboard")).status == 200
    async with visiting(fake_api) as another:
        second = await another.ask("GET", path)
        assert second.status == 403
        assert b"used before" in second.body
        assert "Set-Cookie" not in second.headers


@pytest.mark.parametrize("case", ["late", "altered", "missing", "of a workspace that a restored backup has not"])
async def test_a_link_that_is_not_good_says_so_on_the_sign_in_page(person: Person, fake_api: Api, case: str) -> None:
    gone = Workspace("ws_gone", "gone", utc_now())
    path = await link(fake_api, gone if case.startswith("of a workspace") else None, late=case == "late")
    path = {"altered": path[:-4] + "AAAA", "missing": "/dashboard/login"}.get(case, path)
    answer = await person.ask("GET", path)
    assert answer.status == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"Sorry, this sign-in link" in answer.body
    assert "Set-Cookie" not in answer.headers


async def test_the_password_opens_the_dashboard_and_a_wrong_one_does_not(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), dashboard={"password": PASSWORD})
    async with visiting(api) as someone:
        assert b'type="password"' in (await someone.ask("GET", "/dashboard/sign-in")).body
        wrong = await someone.post("/dashboard/login", data={"password": "guess"})
        assert (wrong.status, wrong.headers["Location"]) == (303, "/dashboard/sign-in?wrong=1")
        assert b"not right" in (await someone.ask("GET", wrong.headers["Location"])).body
        assert (await someone.ask("GET", "/dashboard")).status == 303
        right = await someone.post("/dashboard/login", data={"password": PASSWORD})
        assert (right.status, right.headers["Location"]) == (303, "/dashboard")
        assert (await someone.ask("GET", "/dashboard")).status == 200


async def test_without_a_password_the_sign_in_page_tells_of_the_link(person: Person) -> None:
    page = await person.ask("GET", "/dashboard/sign-in")
    assert b"chaser_server login" in page.body
    assert b"<form" not in page.body


async def test_who_signs_out_is_a_stranger(person: Person) -> None:
    await person.signed_in()
    assert (await person.post("/dashboard/logout")).status == 303
    assert (await person.ask("GET", "/dashboard")).status == 303


@pytest.mark.parametrize("path", [*PAGES, "/dashboard/sign-in", "/dashboard/login?token=x"])
async def test_every_page_is_strict_about_what_it_loads(person: Person, fake_api: Api, path: str) -> None:
    await person.signed_in()
    answer = await person.ask("GET", path)
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy.pop("connect-src") == f"'self' {fake_api.url.replace('http', 'ws')}"
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert b"<style" not in answer.body
    assert b" style=" not in answer.body
    assert b"<script>" not in answer.body


async def test_a_host_that_would_break_out_of_the_policy_is_left_out_of_it(person: Person) -> None:
    answer = await person.ask("GET", "/dashboard/sign-in", headers={"Host": "evil; script-src *"})
    assert "evil" not in answer.headers.get("Content-Security-Policy", "")


async def test_a_link_from_a_foreign_page_gets_a_second_chance_to_bring_its_cookie(person: Person) -> None:
    path = "/dashboard/sessions/sess_x"
    answer = await person.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer.headers["Refresh"]) == (200, f"0;url={path}")
    again = await person.ask("GET", path, headers={"Sec-Fetch-Site": "same-origin"})
    assert again.headers["Location"] == "/dashboard/sign-in"


async def test_another_workspaces_session_is_not_found(person: Person, fake_api: Api) -> None:
    session = await fake_api.ready()
    database = await Database.open(fake_api.data_dir / "chaser.db")
    other = await WorkspaceStore(database).create("other")
    await database.close()
    await person.ask("GET", await link(fake_api, other))
    page = await person.ask("GET", f"/dashboard/sessions/{session['id']}")
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    for path in ("", "/thumbnail"):
        assert (await person.ask("GET", f"/dashboard/data/sessions/{session['id']}{path}")).status == 404
    assert (await person.ask("GET", "/dashboard/data/sessions")).json["data"] == []
    assert (await person.ask("GET", f"/dashboard/sessions/{session['id']}x%3Cb%3E")).body.count(b"<b>") == 0


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
async def test_a_foreign_page_changes_nothing(person: Person, fake_api: Api, origin: str | None) -> None:
    await person.signed_in()
    session = await fake_api.ready()
    headers = {"Origin": origin} if origin else {}
    for method, path in (("POST", "/v1/sessions"), ("DELETE", f"/v1/sessions/{session['id']}")):
        assert (await person.ask(method, path, headers=headers)).status == 403
    assert (await fake_api.get(session["id"]))["status"] == "ready"


@pytest.mark.parametrize("path", ["/dashboard/logout", "/dashboard/login"])
async def test_a_foreign_page_signs_nobody_in_or_out(person: Person, path: str) -> None:
    await person.signed_in()
    assert (await person.ask("POST", path, headers={"Origin": "https://evil.example"})).status == 403
    assert (await person.ask("GET", "/dashboard")).status == 200


async def test_the_table_is_told_more_than_the_api_tells(person: Person, fake_api: Api) -> None:
    await person.signed_in()
    session = await fake_api.ready(profile="mobile")
    await fake_api.ready()
    first = (await person.ask("GET", "/dashboard/data/sessions?limit=1")).json
    second = (await person.ask("GET", f"/dashboard/data/sessions?cursor={first['next_cursor']}")).json
    assert (len(first["data"]), second["next_cursor"]) == (1, None)
    row = second["data"][0]
    assert row == (await person.ask("GET", f"/dashboard/data/sessions/{session['id']}")).json
    assert row.items() >= (await fake_api.get(session["id"])).items()
    assert (row["profile"], row["clients"], row["viewers"]) == ("mobile", 0, 0)
    assert row["channels"] == {name: {"up": 0, "down": 0} for name in ("egress", "cdp", "preview")}
    closed = (await person.ask("GET", "/dashboard/data/sessions?status=closed")).json
    assert closed["data"] == []


async def test_the_sessions_page_offers_the_configured_profiles(serve_fake: ServeFake) -> None:
    api = await serve_fake(FakeSubstrate(), profiles={'wide "screen"': {"width": 1920}})
    async with visiting(api) as someone:
        page = (await (await someone.signed_in()).ask("GET", "/dashboard")).body.decode()
    assert "wide \\&quot;screen\\&quot;" in page


@pytest.mark.parametrize(
    "path", sorted(path for path in STATIC.iterdir() if path.is_file()), ids=lambda path: path.name
)
def test_nothing_static_is_too_long(path: Path) -> None:
    assert path.stat().st_size < 14_000


async def test_static_files_need_no_sign_in_and_are_fetched_once(person: Person) -> None:
    first = await person.ask("GET", "/dashboard/static/player.js")
    assert first.status == 200
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    again = await person.ask("GET", "/dashboard/static/player.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    for name in ("nothing.js", "frame.html", "..%2Fpages.py"):
        assert (await person.ask("GET", f"/dashboard/static/{name}")).status == 404


async def test_a_thumbnail_is_a_small_picture_that_leaves_no_trace(api: Api) -> None:
    session = await api.ready()
    path = f"/dashboard/data/sessions/{session['id']}/thumbnail"
    async with AsyncExitStack() as stack:
        someone = await (await stack.enter_async_context(visiting(api))).signed_in()
        first = await someone.ask("GET", path)
        assert (first.status, first.headers["Content-Type"]) == (200, "image/jpeg")
        assert first.body.startswith(b"\xff\xd8")
        assert len(first.body) < 20_000
        while first.status != 304:  # the browser may still have been painting
            first = await someone.ask("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        row = (await someone.ask("GET", path.removesuffix("/thumbnail"))).json
        assert (row["viewers"], row["channels"]["preview"]) == (0, {"up": 0, "down": 0})
        await api.delete(session["id"])
        assert (await someone.ask("GET", path)).status == 204
    assert "viewer_connected" not in [event["kind"] for event in await api.events(session["id"])]
