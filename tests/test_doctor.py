"""The examination of the machine: real programs where they are cheap, facts where a machine would have to be broken."""

from __future__ import annotations

import os
import pwd
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest

from chaser_server.doctor import Person, examine, find_person, namespaces_check
from chaser_server.doctor_report import Check, Health, exit_status, refusal, render
from chaser_server.obstacles import Facts
from tests.conftest import Serve
from tests.site import Site

OK = Check("browser", Health.OK, "/usr/lib/chromium/chromium")
WARN = Check("disk space", Health.WARN, "0.5 GiB free", "make room")
FAIL = Check("Xvfb", Health.FAIL, "Xvfb was not found", "first this\nthen that", "display")
UNAVOIDABLE = Check("data directory", Health.FAIL, "/ cannot be written", "choose another")


async def look(tmp_path: Path, **changes: Any) -> dict[str, Check]:
    asked: dict[str, Any] = {
        "executable": "", "xvfb": "Xvfb", "bwrap": "bwrap", "sandbox_user": "nobody", "isolation": "bubblewrap",
        "display": "xvfb", "listen": ("127.0.0.1", 0), "data_dir": tmp_path, "thorough": False,
    }  # fmt: skip
    return {check.name: check for check in await examine(**asked | changes)}


def test_the_table_is_aligned_with_the_mends_below_it() -> None:
    assert render([OK, WARN, FAIL]) == (
        "ok    browser     /usr/lib/chromium/chromium\n"
        "warn  disk space  0.5 GiB free\n"
        "FAIL  Xvfb        Xvfb was not found\n"
        "\n"
        "How to mend it:\n"
        "  disk space: make room\n"
        "  Xvfb: first this\n"
        "    then that"
    )


def test_a_healthy_table_has_nothing_to_mend() -> None:
    assert render([OK]) == "ok    browser  /usr/lib/chromium/chromium"


@pytest.mark.parametrize(("checks", "status"), [([OK, WARN], 0), ([OK, WARN, FAIL], 1), ([], 0)])
def test_only_a_failed_check_makes_the_exit_status_one(checks: list[Check], status: int) -> None:
    assert exit_status(checks) == status


def test_a_warning_does_not_keep_the_server_from_starting() -> None:
    assert refusal([OK, WARN]) is None


def test_the_refusal_names_the_explicit_way_to_go_without() -> None:
    text = refusal([OK, WARN, FAIL])
    assert text is not None
    assert 'display = "headless"' in text
    assert "--display headless" in text
    assert "isolation" not in text
    assert "browser" not in text


def test_the_refusal_offers_no_way_around_what_cannot_be_gone_without() -> None:
    assert "go without" not in (refusal([UNAVOIDABLE]) or "")


async def test_this_machine_can_run_the_server(tmp_path: Path) -> None:
    checks = await look(tmp_path, thorough=True)
    assert refusal(checks.values()) is None
    assert "Chrom" in checks["browser"].found
    assert checks["user namespaces"].status is Health.OK


async def test_a_missing_display_server_and_sandbox_are_told_with_their_ways_out(tmp_path: Path) -> None:
    checks = await look(tmp_path, xvfb="no-such-xvfb", bwrap="/no/such/bwrap")
    text = refusal(checks.values()) or ""
    assert "no-such-xvfb was not found" in text
    assert "/no/such/bwrap was not found" in text
    assert "--isolation none" in text
    assert "--display headless" in text


async def test_without_isolation_and_display_their_programs_are_not_asked_for(tmp_path: Path) -> None:
    checks = await look(tmp_path, xvfb="no-such-xvfb", bwrap="no-such-bwrap", isolation="none", display="headless")
    assert refusal(checks.values()) is None
    assert not {"Xvfb", "bubblewrap", "user namespaces", "sandbox user"} & set(checks)


async def test_a_browser_that_is_not_there_fails_with_the_command_that_brings_one(tmp_path: Path) -> None:
    check = (await look(tmp_path, executable=f"{tmp_path}/none"))["browser"]
    assert check.status is Health.FAIL
    assert "browser.executable" in check.mend


async def test_a_browser_that_does_not_start_is_found_out_by_the_thorough_look_alone(tmp_path: Path) -> None:
    assert (await look(tmp_path, executable="/bin/false"))["browser"].status is Health.OK
    check = (await look(tmp_path, executable="/bin/false", thorough=True))["browser"]
    assert (check.status, "does not start" in check.found) == (Health.FAIL, True)


async def test_a_bwrap_that_refuses_is_diagnosed_by_its_words(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: pytest lets no unprivileged user into that
        Path(folder).chmod(0o755)
        refusing = Path(folder, "bwrap")
        refusing.write_text("#!/bin/sh\necho 'bwrap: Unknown option --size' >&2\nexit 1\n")
        refusing.chmod(0o755)
        check = (await look(tmp_path, bwrap=str(refusing)))["user namespaces"]
    assert (check.status, check.found) == (Health.FAIL, "this bubblewrap is too old")


def test_a_failed_trial_offers_to_go_without_isolation() -> None:
    check = namespaces_check(1, Facts("bwrap: setting up uid map: Permission denied", apparmor_restricts=1))
    assert "AppArmor" in check.found
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in check.mend
    assert check.without == "isolation"


async def test_a_port_that_is_taken_is_told_with_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check = (await look(tmp_path, listen=("127.0.0.1", port)))["listen address"]
    assert check.status is Health.FAIL
    assert f"(pid {os.getpid()})" in check.found


async def test_the_port_of_a_running_server_is_well_for_the_doctor_but_not_for_a_start(
    serve: Serve, tmp_path: Path
) -> None:
    port = int((await serve()).url.rpartition(":")[2])
    for host in ("127.0.0.1", "0.0.0.0"):
        check = (await look(tmp_path, listen=(host, port), thorough=True))["listen address"]
        assert (check.status, check.found) == (Health.OK, f"{host}:{port}: a chaser-server is already running there")
    assert (await look(tmp_path, listen=("127.0.0.1", port)))["listen address"].status is Health.FAIL


async def test_another_web_server_on_the_port_is_no_chaser_server(site: Site, tmp_path: Path) -> None:
    port = int(site.url.rpartition(":")[2])
    check = (await look(tmp_path, listen=("127.0.0.1", port), thorough=True))["listen address"]
    assert check.status is Health.FAIL


async def test_a_name_that_is_no_host_is_told(tmp_path: Path) -> None:
    check = (await look(tmp_path, listen=("256.0.0.1.", 80)))["listen address"]
    assert check.status is Health.FAIL


async def test_a_data_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert (await look(tmp_path, data_dir=tmp_path / "data"))["data directory"].status is Health.FAIL


async def test_a_data_directory_still_to_be_made_is_left_to_the_server(tmp_path: Path) -> None:
    check = (await look(tmp_path, data_dir=tmp_path / "a/b"))["data directory"]
    assert (check.status, (tmp_path / "a").exists()) == (Health.OK, False)


@pytest.mark.parametrize("user", ["no-such-user", "root", "0"])
def test_root_needs_an_unprivileged_user_for_its_sandboxes(user: str) -> None:
    person, checks = find_person(user)
    assert (person, [check.status for check in checks]) == (None, [Health.FAIL])


def test_the_sandbox_user_may_be_named_or_numbered() -> None:
    nobody = pwd.getpwnam("nobody")
    assert find_person("nobody") == find_person(str(nobody.pw_uid))
    assert find_person("nobody")[0] == Person("nobody", nobody.pw_uid, nobody.pw_gid)
