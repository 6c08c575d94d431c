"""A browser of this machine whose start goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Serve

DYING_DISPLAYS = {
    "on a socket that listens already": "#!/bin/sh\n# sd_listen_fds\necho cannot compile keymap >&2\nexit 1\n",
    "once somebody has connected": "#!/bin/sh\n# sd_listen_fds\nsleep 0.3\necho cannot compile keymap >&2\nexit 1\n",
}


@pytest.mark.parametrize("when", DYING_DISPLAYS)
async def test_a_display_server_that_dies_at_its_start_is_named_in_its_own_words(
    serve: Serve, tmp_path: Path, when: str
) -> None:
    display = tmp_path / "Xvfb"
    display.write_text(DYING_DISPLAYS[when])
    display.chmod(0o755)
    api = await serve(browser={"xvfb": str(display)}, sandbox={"isolation": "none"})
    session = await api.create()
    assert (await api.ask("GET", f"/v1/sessions/{session['id']}?wait=ready")).json["status"] == "error"
    ended = (await api.events(session["id"]))[-1]["detail"]
    assert ended["error"] == "the display server (Xvfb) did not start: cannot compile keymap"
