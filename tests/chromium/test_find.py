"""Finding a Chromium, in small trees of files that look like the machines people have."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaser_server.chromium.find import BrowserExecutable, find_chromium, find_headless_shell, readable_by
from chaser_server.errors import MachineError

BINARY = b"\x7fELF"
STRANGER = 54321  # a uid that owns nothing here


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: pytest lets no other user into that
        Path(folder).chmod(0o755)
        yield Machine(Path(folder).resolve())


class Machine:
    """A tree of files with its own PATH, home and Playwright folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"PATH": f"{root}/usr/bin:{root}/snap/bin", "HOME": f"{root}/home"}
        self.installed = root / "opt/chaser-server/browsers"

    def put(self, path: str, content: bytes | str = BINARY, mode: int = 0o755) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
        return file

    def link(self, path: str, target: Path) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
        return file

    def find(self, configured: str = "", uid: int | None = None) -> BrowserExecutable:
        return find_chromium(configured, uid=uid, environ=self.environ, installed=self.installed)

    def find_shell(self) -> BrowserExecutable:
        return find_headless_shell(environ=self.environ, installed=self.installed)


def test_debians_wrapper_is_resolved_to_the_program_behind_it(machine: Machine) -> None:
    machine.put("usr/bin/chromium", "#!/bin/sh\nexec $LIBDIR/$APPNAME\n")
    program = machine.put("usr/lib/chromium/chromium")
    assert machine.find() == BrowserExecutable(program, "PATH")


def test_debians_headless_shell_is_found_behind_its_own_wrapper(machine: Machine) -> None:
    machine.put("usr/bin/chromium-headless-shell", "#!/bin/sh\n")
    machine.put("usr/lib/chromium/chromium")
    program = machine.put("usr/lib/chromium/chromium-headless-shell")
    assert machine.find_shell() == BrowserExecutable(program, "PATH")


def test_chromes_chain_of_links_and_scripts_ends_at_the_program(machine: Machine) -> None:
    script = machine.put("opt/google/chrome/google-chrome", "#!/bin/bash\n")
    program = machine.put("opt/google/chrome/chrome")
    stable = machine.link("usr/bin/google-chrome-stable", script)
    machine.link("usr/bin/google-chrome", stable)
    assert machine.find().path == program


def test_ubuntus_snap_stub_is_passed_over_for_playwrights_browser(machine: Machine) -> None:
    machine.put("usr/bin/chromium-browser", "#!/bin/sh\nexec /snap/bin/chromium\n")
    machine.link("snap/bin/chromium", machine.put("usr/bin/snap"))
    program = machine.put("home/.cache/ms-playwright/chromium-1200/chrome-linux64/chrome")
    assert machine.find() == BrowserExecutable(program, "Playwright")


def test_a_machine_with_nothing_but_snaps_is_told_so(machine: Machine) -> None:
    machine.put("usr/bin/chromium-browser", "#!/bin/sh\nexec /snap/bin/chromium\n")
    with pytest.raises(MachineError) as caught:
        machine.find()
    assert f"{machine.root}/usr/bin/chromium-browser: a snap, which cannot run inside bubblewrap" in str(caught.value)
    assert "python -m chaser_server setup" in str(caught.value)


def test_the_newest_of_playwrights_revisions_wins_by_number(machine: Machine) -> None:
    machine.put("home/.cache/ms-playwright/chromium-999/chrome-linux/chrome")
    newest = machine.put("home/.cache/ms-playwright/chromium-1200/chrome-linux64/chrome")
    assert machine.find().path == newest


@pytest.mark.parametrize(
    "path",
    ["chromium_headless_shell-1100/chrome-linux/headless_shell",
     "chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell"],
)  # fmt: skip
def test_playwrights_headless_shell_is_found_under_its_old_and_new_names(machine: Machine, path: str) -> None:
    machine.put("home/.cache/ms-playwright/chromium-1200/chrome-linux64/chrome")
    program = machine.put(f"home/.cache/ms-playwright/{path}")
    assert machine.find_shell() == BrowserExecutable(program, "Playwright")


def test_the_folder_named_in_the_environment_comes_before_ours_and_the_cache(machine: Machine) -> None:
    machine.put("home/.cache/ms-playwright/chromium-3/chrome-linux/chrome")
    machine.put("opt/chaser-server/browsers/chromium-2/chrome-linux/chrome")
    named = machine.put("named/chromium-1/chrome-linux/chrome")
    machine.environ["PLAYWRIGHT_BROWSERS_PATH"] = f"{machine.root}/named"
    assert machine.find().path == named


def test_a_configured_path_comes_before_everything(machine: Machine) -> None:
    machine.put("usr/bin/chromium")
    mine = machine.put("elsewhere/my-chromium")
    assert machine.find(str(mine)) == BrowserExecutable(mine, "configured")


def test_a_configured_command_name_is_looked_up_on_path(machine: Machine) -> None:
    mine = machine.put("usr/bin/my-chromium")
    assert machine.find("my-chromium").path == mine


def test_a_configured_script_of_ones_own_is_used_as_it_is(machine: Machine) -> None:
    mine = machine.put("elsewhere/start-it", "#!/bin/sh\n")
    assert machine.find(str(mine)).path == mine


def test_a_configured_browser_that_is_missing_is_never_replaced_by_another(machine: Machine) -> None:
    machine.put("usr/bin/chromium")
    with pytest.raises(MachineError, match=r"nowhere/chromium: there is no such file(.|\n)*browser\.executable"):
        machine.find(f"{machine.root}/nowhere/chromium")


def test_a_script_of_unknown_meaning_on_path_is_passed_over(machine: Machine) -> None:
    machine.put("usr/bin/chromium", "#!/bin/sh\necho hello\n")
    program = machine.put("usr/bin/google-chrome")
    assert machine.find().path == program


def test_a_browser_the_sandbox_user_cannot_reach_is_passed_over(machine: Machine) -> None:
    private = machine.put("home/.cache/ms-playwright/chromium-9/chrome-linux/chrome")
    ours = machine.put("opt/chaser-server/browsers/chromium-1/chrome-linux/chrome")
    (machine.root / "home").chmod(0o700)
    machine.environ["PLAYWRIGHT_BROWSERS_PATH"] = f"{machine.root}/home/.cache/ms-playwright"
    assert not readable_by(private, STRANGER)
    assert readable_by(private, private.stat().st_uid)
    assert readable_by(ours, STRANGER)
    assert machine.find().path == private
    assert machine.find(uid=STRANGER).path == ours


def test_looking_for_a_browser_imports_no_driver() -> None:
    code = "import sys; from chaser_server.chromium import find; find.find_chromium('/bin/true'); " \
           "print([m for m in sys.modules if m.startswith('playwright')])"  # fmt: skip
    environ = os.environ | {"PLAYWRIGHT_BROWSERS_PATH": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "[]"
