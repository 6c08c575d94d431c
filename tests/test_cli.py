"""Keys and workspaces by the command line, beside the server's own database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chaser_server.cli import main
from chaser_server.store.audit import AuditLog
from chaser_server.store.database import Database
from chaser_server.store.workspaces import WorkspaceStore
from chaser_server.tokens import is_key


class Shell:
    """Runs commands on one data directory."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._data_dir = data_dir
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = main([*words, "--data-dir", str(self._data_dir)])
        said = self._capsys.readouterr()
        return status, said.out, said.err


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHASER_CONFIG", raising=False)
    return Shell(tmp_path / "data", capsys)


def test_a_server_started_with_an_empty_environment_finds_its_programs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PATH")
    status, table, _ = shell("doctor", "--listen", "127.0.0.1:0")
    assert status == 0, table


def test_a_created_key_is_printed_alone_and_listed_without_its_secret(shell: Shell) -> None:
    status, secret, _ = shell("keys", "create", "ci")
    assert status == 0
    assert is_key(secret.strip())
    _, table, _ = shell("keys", "list")
    assert secret.strip() not in table
    head, row = table.splitlines()
    assert head.split() == ["id", "prefix", "name", "workspace", "created", "last", "used", "revoked"]
    assert row.split()[1:4] == [secret[:16], "ci", "default"]
    assert row.split()[-1] == "-"


def test_a_revoked_key_is_listed_with_its_time(shell: Shell) -> None:
    _, secret, _ = shell("keys", "create", "ci")
    status, said, _ = shell("keys", "revoke", secret[:16])
    assert (status, said) == (0, f"revoked {secret[:16]}… (ci)\n")
    _, table, _ = shell("keys", "list")
    assert table.splitlines()[1].split()[-1].endswith("Z")


def test_a_test_key_says_that_it_is_one(shell: Shell) -> None:
    assert shell("keys", "create", "ci", "--mode", "test")[1].startswith("cha_test_")


def test_a_key_belongs_to_the_named_workspace(shell: Shell) -> None:
    assert shell("workspaces", "create", "team")[0] == 0
    assert shell("keys", "create", "ci", "--workspace", "team")[0] == 0
    assert shell("keys", "list")[1].splitlines()[1].split()[3] == "team"
    assert [line.split()[1] for line in shell("workspaces", "list")[1].splitlines()[1:]] == ["default", "team"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("keys", "create", "ci", "--workspace", "none"), "there is no workspace named 'none'"),
        (("keys", "revoke", "key_none"), "no key has the id or prefix 'key_none'"),
        (("workspaces", "create", "default"), "there is a workspace named 'default' already"),
        (("keys", "list", "--config", "absent.toml"), "cannot read the config file absent.toml"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shell: Shell, words: tuple[str, ...], message: str) -> None:
    status, out, err = shell(*words)
    assert (status, out) == (1, "")
    assert err.startswith(f"chaser-server: {message}")
    assert err.count("\n") == 1


def test_a_rotated_key_leaves_its_name_and_kind_to_the_next(shell: Shell) -> None:
    _, secret, _ = shell("keys", "create", "ci", "--mode", "test")
    status, successor, _ = shell("keys", "rotate", secret[:16], "--grace-days", "0")
    assert status == 0
    assert is_key(successor.strip())
    assert successor.startswith("cha_test_")
    old, new = (line.split() for line in shell("keys", "list")[1].splitlines()[1:])
    assert (old[1], new[1], new[2]) == (secret[:16], successor[:16], "ci")
    assert old[-1].endswith("Z")
    assert new[-1] == "-"


@pytest.mark.parametrize("days", ["31", "-1", "week"])
def test_a_grace_has_bounds(shell: Shell, days: str) -> None:
    with pytest.raises(SystemExit):
        shell("keys", "rotate", "key_x", "--grace-days", days)


def test_a_workspace_can_have_limits_of_its_own(shell: Shell) -> None:
    shell("workspaces", "create", "team")
    assert shell("workspaces", "limit", "team", "--concurrent-sessions", "3")[0] == 0
    assert shell("workspaces", "list")[1].splitlines()[2].split()[-2:] == ["3", "server's"]
    assert shell("workspaces", "limit", "team", "--egress-budget-bytes", "5")[0] == 0
    assert shell("workspaces", "list")[1].splitlines()[2].split()[-2:] == ["server's", "5"]


def test_what_commands_do_is_in_the_audit(shell: Shell, tmp_path: Path) -> None:
    _, secret, _ = shell("keys", "create", "ci")
    _, successor, _ = shell("keys", "rotate", secret[:16])
    shell("keys", "revoke", successor[:16])

    async def audit() -> list[tuple[str, str, object]]:
        database = await Database.open(tmp_path / "data" / "chaser.db")
        workspace = await WorkspaceStore(database).ensure_default()
        events = await AuditLog(database).latest(workspace.id, 10)
        await database.close()
        return [(event.kind, event.actor, event.detail["key"]) for event in events]

    who = "command line"
    assert asyncio.run(audit()) == [
        ("key_created", who, secret[:16]),
        ("key_rotated", who, secret[:16]),
        ("key_revoked", who, successor[:16]),
    ]
