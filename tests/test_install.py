"""Setting a machine up: plans for the machines people have, and one real run with a pretended apt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaser_server.install import Machine, Need, advice, dev_needs, install, plan, server_needs, this_machine


@pytest.fixture
def debian(tmp_path: Path) -> Machine:
    """A Debian with nothing but apt-get, which writes down what it is asked."""
    put(tmp_path, "apt-get", f'#!/bin/sh\necho "$@ [$DEBIAN_FRONTEND]" >> {tmp_path}/asked\n')
    environ = {"PATH": str(tmp_path), "HOME": f"{tmp_path}/home"}
    return Machine(root=True, system="Linux", distribution=frozenset({"debian"}), environ=environ)


@pytest.fixture
def ubuntu(debian: Machine) -> Machine:
    return replace(debian, distribution=frozenset({"ubuntu", "debian"}))


def put(folder: Path, name: str, script: str) -> Path:
    file = folder / name
    file.write_text(script)
    file.chmod(0o755)
    return file


def commands(machine: Machine) -> list[str]:
    return [" ".join(step.argv) for step in plan(server_needs(machine), machine)]


def chromium(machine: Machine) -> Need:
    return next(need for need in server_needs(machine) if need.name == "Chromium")


def test_debian_gets_everything_from_apt_with_the_fonts_apart(debian: Machine) -> None:
    update, required, fonts = commands(debian)
    assert update.endswith("update -q")
    assert "install -y -q --no-install-recommends xvfb" in required
    assert {"bubblewrap", "chromium", "xkb-data", "util-linux"} <= set(required.split())
    assert "fonts-liberation" in fonts


def test_ubuntu_gets_playwrights_browser_where_the_sandbox_user_can_read_it(ubuntu: Machine) -> None:
    step = plan([chromium(ubuntu)], ubuntu)[-1]
    assert step.argv[1:] == ("-m", "playwright", "install", "--with-deps", "chromium")
    assert step.environ == {"PLAYWRIGHT_BROWSERS_PATH": "/opt/chaser-server/browsers"}


def test_an_ordinary_user_gets_a_browser_and_is_told_the_rest(debian: Machine) -> None:
    user = replace(debian, root=False)
    assert [command.split()[1:] for command in commands(user)] == [["-m", "playwright", "install", "chromium"]]
    xvfb = next(need for need in server_needs(user) if need.name == "Xvfb")
    assert advice(xvfb, user) == "sudo apt-get install --no-install-recommends xvfb"


def test_a_mac_needs_nothing_but_a_browser(debian: Machine) -> None:
    mac = replace(debian, root=False, system="Darwin", distribution=frozenset(), environ={"PATH": ""})
    assert [need.name for need in server_needs(mac)] == ["Chromium"]
    assert [step.argv[1:3] for step in plan(server_needs(mac), mac)] == [("-m", "playwright")]


def test_a_system_without_apt_is_told_debians_names(debian: Machine) -> None:
    fedora = replace(debian, environ={"PATH": ""})
    assert "what Debian calls bubblewrap" in advice(Need("bubblewrap", str, ("bubblewrap",)), fedora)


def test_nothing_is_run_when_nothing_is_missing(debian: Machine) -> None:
    assert plan([], debian) == []


def test_node_that_is_too_old_is_not_taken_for_one(debian: Machine, tmp_path: Path) -> None:
    put(tmp_path, "npm", "#!/bin/sh\n")
    put(tmp_path, "node", "#!/bin/sh\necho v18.20.4\n")
    node = next(need for need in dev_needs(debian) if need.name == "Node")
    assert node.present() == ""
    put(tmp_path, "node", "#!/bin/sh\necho v20.20.2\n")
    assert node.present() == f"{tmp_path}/node v20.20.2"


def test_what_was_brought_and_what_is_still_missing_is_said_line_by_line(debian: Machine, tmp_path: Path) -> None:
    put(tmp_path, "bwrap", "#!/bin/sh\n")
    put(
        tmp_path,
        "apt-get",
        (tmp_path / "apt-get").read_text() + f": > {tmp_path}/Xvfb; /bin/chmod +x {tmp_path}/Xvfb\n",
    )
    said: list[str] = []
    assert install(say=said.append, machine=debian) == 1
    assert f"have       bubblewrap: {tmp_path}/bwrap" in said
    assert f"installed  Xvfb: {tmp_path}/Xvfb" in said
    assert "missing    Chromium: do apt-get install --no-install-recommends chromium" in said
    assert "[noninteractive]" in (tmp_path / "asked").read_text()


def test_a_command_that_fails_is_shown_with_its_last_words(debian: Machine, tmp_path: Path) -> None:
    put(tmp_path, "apt-get", "#!/bin/sh\necho E: no such mirror >&2\nexit 100\n")
    said: list[str] = []
    assert install(say=said.append, machine=debian) == 1
    assert "failed     with exit status 100, its last lines:" in said
    assert "           E: no such mirror" in said


def test_a_second_run_on_a_complete_machine_asks_apt_for_nothing(debian: Machine, tmp_path: Path) -> None:
    here = this_machine()
    here = replace(here, environ={**here.environ, "PATH": f"{tmp_path}:{here.environ['PATH']}"})
    missing = [need.name for need in server_needs(here) if need.required and not need.present()]
    assert (missing, (tmp_path / "asked").exists()) == ([], False)
