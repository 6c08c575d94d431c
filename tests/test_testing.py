"""The pytest plugin, in a pytest of its own, with real browsers."""

from __future__ import annotations

import asyncio
import configparser
import json
import re
import sys
from pathlib import Path

import pytest

from chaser_server.testing import RunningServer, Session
from tests.api import Api
from tests.conftest import Serve
from tests.processes import ENVIRONMENT, ROOT
from tests.site import Site

PROJECT = """
import json
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

def test_the_page(chaser_session):
    with sync_playwright() as playwright:
        page = playwright.chromium.connect_over_cdp(chaser_session.cdp_url).contexts[0].pages[0]
        assert page.evaluate("navigator.webdriver") is not None
    Path("first").write_text(chaser_session.id)

@pytest.mark.chaser(profile="mobile", ttl_seconds=90)
def test_the_phone(chaser_server, chaser_session):
    status, phone, _ = chaser_server.ask("GET", f"/sessions/{chaser_session.id}?wait=ready")
    first = chaser_server.ask("GET", "/sessions/" + Path("first").read_text())[1]
    told = {"url": chaser_server.url, "phone": phone, "first": first}
    Path("told").write_text(json.dumps(told))
"""
# Plugins of our own tests, which take a second and a half to load, and leave their marks.
WITHOUT = [
    f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "hypothesispytest", "asyncio", "anyio", "xdist")
]
ASKS = "def test_it(chaser_session): print(chaser_session.id)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in whose environment the plugin is installed: what pip leaves, made from our setup.cfg."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = tmp_path / "site" / "chaser_server_here-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: chaser-server-here\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(f"[pytest11]{setup['options.entry_points']['pytest11']}\n")
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


async def run_pytest(project: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """pytest as the project's people run it; its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-s", "--strict-markers", *WITHOUT, *arguments),
        cwd=project,
        env=ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{project.parent / 'site'}"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_project_gets_a_server_for_the_run_and_a_session_for_each_test(project: Path) -> None:
    (project / "test_project.py").write_text(PROJECT)
    status, said = await run_pytest(project)
    assert status == 0, said
    told = json.loads((project / "told").read_text())
    assert (told["first"]["status"], told["first"]["ended_reason"]) == ("closed", "client_delete")
    assert told["phone"]["status"] == "ready"
    assert "(Mobile)" in told["phone"]["device"]
    with pytest.raises(RuntimeError, match="no chaser-server answers"):
        RunningServer(url=told["url"], key="").ask("GET", "/sessions")


async def test_the_example_of_the_documentation_runs_as_it_stands(project: Path, site: Site) -> None:
    test, conftest = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)
    assert len(test.splitlines()) == 3
    (project / "test_project.py").write_text(test.replace("http://localhost:3000", f"{site.url}/visit"))
    (project / "conftest.py").write_text(conftest)
    status, said = await run_pytest(project)
    assert status == 0, said
    assert "Chrome/" in site.visits.get_nowait()["User-Agent"]


async def test_a_server_that_does_not_start_is_reported_in_its_own_words(project: Path) -> None:
    (project / "test_project.py").write_text(ASKS)
    (project / "chaser.toml").write_text("[server]\nlissten = 1\n")
    status, said = await run_pytest(project)
    assert status == 1
    assert "chaser-server did not start (exit status 1):" in said
    assert "unknown setting server.lissten" in said
    assert "Traceback" not in said


async def test_a_server_that_runs_already_is_used_when_named(project: Path, api: Api) -> None:
    (project / "test_project.py").write_text(ASKS)
    status, said = await run_pytest(project, "--chaser-url", api.url, "--chaser-key", api.key)
    assert status == 0, said
    [session] = (await api.ask("GET", "/v1/sessions")).json["data"]
    assert session["id"] in said
    assert session["ended_reason"] == "client_delete"


async def test_a_named_server_without_a_key_is_refused_at_once(project: Path) -> None:
    (project / "test_project.py").write_text(ASKS)
    status, said = await run_pytest(project, "--chaser-url", "http://127.0.0.1:9", CHASER_KEY="")
    assert status == 1
    assert "--chaser-url needs an API key" in said


async def test_the_plugin_imports_nothing_of_the_server(project: Path) -> None:
    (project / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish(session):\n"
        "    assert session.config.pluginmanager.has_plugin('chaser_server.testing')\n"
        "    print([name for name in sorted(sys.modules) if name.startswith(('chaser_server', 'aiohttp'))])\n"
    )
    (project / "test_project.py").write_text("def test_it(): pass\n")
    status, said = await run_pytest(project)
    assert status == 0, said
    assert "['chaser_server', 'chaser_server.testing']" in said


async def test_a_full_server_is_asked_again_when_it_says_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    api: Api = await serve(limits={"concurrent_sessions": 1})
    server = RunningServer(url=api.url, key=api.key)
    first: Session = await asyncio.to_thread(server.create_session)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        server.delete_session(first.id)

    monkeypatch.setattr("chaser_server.testing.time.sleep", pause)
    second = await asyncio.to_thread(server.create_session)
    assert (pauses, second.id != first.id) == ([1.0], True)
    await asyncio.to_thread(server.delete_session, first.id)  # once more does no harm


async def test_what_the_server_refuses_for_good_is_not_asked_again(api: Api) -> None:
    server = RunningServer(url=api.url, key=api.key)
    with pytest.raises(RuntimeError, match=r"gave no session: 400 .*profile"):
        await asyncio.to_thread(server.create_session, profile="none")
