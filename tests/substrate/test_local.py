"""A browser of this machine whose start goes wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaser_server.chromium.find import find_chromium
from tests.api import Api
from tests.conftest import Serve

DYING_DISPLAYS = {
    "on a socket that listens already": "#!/bin/sh\n# sd_listen_fds\necho cannot compile keymap >&2\nexit 1\n",
    "once somebody has connected": "#!/bin/sh\n# sd_listen_fds\nsleep 0.3\necho cannot compile keymap >&2\nexit 1\n",
}


MORTAL_DISPLAY = """#!/bin/sh
# sd_listen_fds
echo $$ >{pid}
exec Xvfb "$@"
"""
# It ends its display when it is asked for DevTools: the server has its screen then.
DEADLY_BROWSER = """#!{python}
import os, select, signal, socket, sys
if "--version" not in sys.argv:
    option = "--remote-debugging-port="
    port = next(word for word in sys.argv if word.startswith(option)).removeprefix(option)
    socket.create_server(("127.0.0.1", int(port))).accept()
    display = int(open("{pid}").read())
    end = os.pidfd_open(display)
    os.kill(display, signal.SIGKILL)
    select.select([end], [], [])
os.execv("{chromium}", sys.argv)
"""


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


async def error_of_a_session(api: Api) -> str:
    session = await api.create()
    assert (await api.ask("GET", f"/v1/sessions/{session['id']}?wait=ready")).json["status"] == "error"
    error: str = (await api.events(session["id"]))[-1]["detail"]["error"]
    return error


@pytest.mark.parametrize("when", DYING_DISPLAYS)
async def test_a_display_server_that_dies_at_its_start_is_named_in_its_own_words(
    serve: Serve, tmp_path: Path, when: str
) -> None:
    display = program(tmp_path / "Xvfb", DYING_DISPLAYS[when])
    api = await serve(browser={"xvfb": display}, sandbox={"isolation": "none"})
    assert await error_of_a_session(api) == "the display server (Xvfb) died: cannot compile keymap"


async def test_a_display_server_that_dies_once_there_is_a_screen_is_named(serve: Serve, tmp_path: Path) -> None:
    values = {"pid": tmp_path / "pid", "python": sys.executable, "chromium": find_chromium().path}
    display = program(tmp_path / "Xvfb", MORTAL_DISPLAY.format(**values))
    browser = program(tmp_path / "chromium", DEADLY_BROWSER.format(**values))
    api = await serve(browser={"xvfb": display, "executable": browser}, sandbox={"isolation": "none"})
    assert (await error_of_a_session(api)).startswith("the display server (Xvfb) died")
