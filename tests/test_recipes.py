"""Every block of code in docs/recipes.md, run as it stands against a real server and a real site."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.api import Api
from tests.clients.test_clients import HERE as CLIENTS
from tests.clients.test_clients import run_node
from tests.conftest import served
from tests.processes import ENVIRONMENT, ROOT

PAGE = """<!doctype html><title>Port 3000</title><meta name=viewport content="width=device-width">
<a href=/report.csv>Download</a><input type=file>"""
REPORT = "day,bytes\n" * 10_000
SITE = "http://localhost:3000"
FILES = {"python": "recipe.py", "js": "recipe.mjs", "ts": "recipe.mts", "bash": "recipe.sh"}
HELPER = re.compile(r"(?:#|//) (chaser\.\w+)\n")

# What each recipe prints, by its heading.
PRINTS = {
    "Playwright for Python": "^Port 3000$",
    "Playwright for Python, async": "^Port 3000$",
    "patchright": "^Port 3000$",
    "Playwright for TypeScript": "^Port 3000$",
    "puppeteer": "^Port 3000$",
    "With curl alone": "(?s)about:blank.*launched.*ended$",
    "Waiting for ready": r"^ready Linux.* - Chrome \d+ \(Desktop\)$",
    "Many sessions at once": r"^\['Port 3000', 'Port 3000', 'Port 3000', 'Port 3000'\]$",
    "Coming back to a session": "^Port 3000$",
    "A phone": r"^\[412, 2\.625, \d+, True\]$",
    "Getting a file out": f"^{len(REPORT)} bytes$",
    "A download that a click began": f"^{len(REPORT)} bytes$",
    "Sending a file in": "^hello from here$",
    "Sending a file in with puppeteer": "^hello from here$",
    "CI": "(?s)creating.*stopped$",
}


@dataclass(frozen=True)
class Block:
    """One block of code and the heading above it."""

    heading: str
    language: str
    code: str


def blocks() -> list[Block]:
    text = (ROOT / "docs" / "recipes.md").read_text()
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        found += [Block(heading, *block) for block in re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)]
    return found


HELPERS = {match[1]: block.code for block in blocks() if (match := HELPER.match(block.code))}
RECIPES = [block for block in blocks() if not HELPER.match(block.code)]


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server with room for two sessions, so that a recipe for four has to wait."""
    async with served(tmp_path_factory.mktemp("server"), {"limits": {"concurrent_sessions": 2}}) as running:
        yield running


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[str]:
    """A page with a download and a file input; its address."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def report(request: web.Request) -> web.Response:
        disposition = {"Content-Disposition": 'attachment; filename="report.csv"'}
        return web.Response(text=REPORT, content_type="text/csv", headers=disposition)

    application = web.Application()
    application.add_routes([web.get("/", page), web.get("/report.csv", report)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


def test_every_recipe_is_run() -> None:
    assert sorted(HELPERS) == ["chaser.mjs", "chaser.py"]
    assert [block.heading for block in RECIPES] == [*dict.fromkeys(block.heading for block in RECIPES)]
    assert {block.heading for block in RECIPES} == set(PRINTS)


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: block.heading)
async def test_a_recipe_works(block: Block, api: Api, site: str, tmp_path: Path) -> None:
    for name, code in HELPERS.items():
        (tmp_path / name).write_text(code)
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    recipe = tmp_path / FILES[block.language]
    recipe.write_text(block.code.replace(SITE, site))
    printed = await run(recipe, CHASER_URL=api.url, CHASER_KEY=api.key)
    assert re.search(PRINTS[block.heading], printed), printed
    left_open = [
        session["id"]
        for status in ("creating", "ready")
        for session in (await api.ask("GET", f"/v1/sessions?status={status}")).json["data"]
    ]
    assert left_open == []


async def run(recipe: Path, **environment: str) -> str:
    """What it prints, if it ends well."""
    if recipe.suffix in (".mjs", ".mts"):
        process = await run_node("--import", "tsx", recipe.name, folder=recipe.parent, **environment)
    else:
        path = f"{Path(sys.executable).parent}:{ENVIRONMENT['PATH']}"
        program = ["bash", "-eu"] if recipe.suffix == ".sh" else [sys.executable]
        process = await asyncio.create_subprocess_exec(
            *program, recipe.name, cwd=recipe.parent, env=ENVIRONMENT | {"PATH": path} | environment,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
    output, _ = await process.communicate()
    printed = output.decode().strip()
    assert process.returncode == 0, printed
    return printed
