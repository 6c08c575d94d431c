"""What is asked of a browser and of Playwright's driver is a process each, and none outlives who asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chaser_server.chromium.cache import AnswerCache
from chaser_server.chromium.profiles import load_devices
from chaser_server.chromium.version import chrome_major
from chaser_server.config import BrowserConfig, Config, ServerConfig
from chaser_server.errors import MachineError
from chaser_server.substrate.from_config import learn
from tests.processes import descendants, until


def silent_browser(folder: Path) -> Path:
    program = folder / "chromium"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return program


QUESTIONS: dict[str, Callable[[Path], Awaitable[object]]] = {
    "version": lambda folder: chrome_major(silent_browser(folder), AnswerCache(folder)),
    "devices": lambda folder: load_devices(AnswerCache(folder)),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_question_that_is_given_up_leaves_no_process(tmp_path: Path, question: str) -> None:
    before = descendants(os.getpid())
    asking = asyncio.ensure_future(QUESTIONS[question](tmp_path))
    await until(lambda: descendants(os.getpid()) - before, "it is being asked")
    asked = descendants(os.getpid()) - before
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: not any(process.lives for process in asked), "it is gone")
    assert descendants(os.getpid()) <= before


async def test_without_a_browser_that_tells_its_version_nothing_is_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = descendants(os.getpid())
    program = silent_browser(tmp_path)
    program.write_text("#!/bin/sh\necho I am no browser\n")
    config = Config(server=ServerConfig(data_dir=str(tmp_path)), browser=BrowserConfig(executable=str(program)))
    with pytest.raises(MachineError, match="does not say its version"):
        await learn(config)
    assert descendants(os.getpid()) <= before
