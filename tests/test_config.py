"""Settings: a typo, a wrong type or an impossible value stops the start and names the key."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from chaser_server.config import Config, ProfileConfig, split_host_port
from chaser_server.config_file import find_file, load, parse
from chaser_server.errors import ConfigError


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"servr": {}}, "servr"),
        ({"server": {"lisen": "127.0.0.1:0"}}, "server.lisen"),
        ({"limits": {"idle": 5}}, "limits.idle"),
        ({"profiles": {"default": {"widht": 5}}}, "profiles.default.widht"),
        ({"profiles": {"new": {"colour": "red"}}}, "profiles.new.colour"),
    ],
)
def test_an_unknown_key_is_named_with_those_that_are_known(tables: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown setting {key}; known here: \w+"):
        parse(tables)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"server": {"listen": 7070}}, "server.listen must be a string, not 7070"),
        ({"server": 5}, "server must be a table, not 5"),
        ({"server": {"allowed_origins": "x"}}, "server.allowed_origins must be a list of strings, not 'x'"),
        ({"server": {"allowed_origins": [1]}}, "server.allowed_origins must be a list of strings, not a list"),
        (
            {"limits": {"concurrent_sessions": True}},
            "limits.concurrent_sessions must be a whole number, not true/false",
        ),
        ({"limits": {"concurrent_sessions": 1.5}}, "limits.concurrent_sessions must be a whole number, not 1.5"),
        ({"limits": {"idle_seconds": "300"}}, "limits.idle_seconds must be a number, not '300'"),
        ({"cdp": {"require_key": 1}}, "cdp.require_key must be true or false, not 1"),
        ({"profiles": []}, "profiles must be a table of tables"),
        ({"profiles": {"mobile": "Pixel 7"}}, "profiles.mobile must be a table, not 'Pixel 7'"),
    ],
)
def test_a_wrong_type_names_the_key_and_the_right_one(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(tables)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"limits": {"idle_seconds": 0}}, "limits.idle_seconds must be from 1 to"),
        ({"limits": {"concurrent_sessions": -1}}, "limits.concurrent_sessions must be at least 0, not -1"),
        ({"limits": {"idle_seconds": float("nan")}}, "limits.idle_seconds must be a finite number, not nan"),
        ({"limits": {"idle_seconds": float("inf")}}, "limits.idle_seconds must be a finite number, not inf"),
        ({"limits": {"idle_seconds": 1e18}}, "limits.idle_seconds must be from 1 to"),
        ({"browser": {"launch_timeout_seconds": 301}}, "browser.launch_timeout_seconds must be from 1 to 300, not 301"),
        ({"sandbox": {"isolation": "docker"}}, "sandbox.isolation must be one of 'bwrap', 'none', not 'docker'"),
        ({"metering": {"count": ["egress", "disk"]}}, "metering.count must be one of 'egress', 'cdp', 'preview'"),
        ({"profiles": {"default": {"width": 10}}}, "profiles.default.width must be from 200 to 7680, not 10"),
        ({"server": {"listen": "7070"}}, "server.listen must be HOST:PORT"),
        ({"server": {"listen": "127.0.0.1:70000"}}, "server.listen must be HOST:PORT"),
        ({"server": {"listen": "127.0.0.1:" + "9" * 5000}}, "server.listen must be HOST:PORT"),
    ],
)
def test_an_impossible_value_names_the_key_and_what_is_possible(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(tables)
    assert message in refused.value.message


def test_without_a_file_every_setting_has_its_default() -> None:
    config = load(None)
    assert config == Config()
    assert config.server.address == ("127.0.0.1", 7070)
    assert set(config.profiles) == {"default", "mobile", "light"}


def test_sections_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load(None).server.listen = "0.0.0.0:80"  # type: ignore[misc]


def test_a_file_changes_what_it_names_and_the_command_line_wins(tmp_path: Path) -> None:
    path = tmp_path / "chaser.toml"
    path.write_text('[server]\nlisten = "127.0.0.1:1"\npublic_url = "https://x"\n[limits]\nidle_seconds = 5\n')
    config = load(path, {"server": {"listen": "127.0.0.1:2"}, "log": {"format": "json"}})
    assert config.server.listen == "127.0.0.1:2"
    assert config.server.public_url == "https://x"
    assert config.limits.idle_seconds == 5.0
    assert config.log.format == "json"


def test_the_command_line_does_not_hide_that_a_section_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "chaser.toml"
    path.write_text("server = 5")
    with pytest.raises(ConfigError, match="server must be a table, not 5"):
        load(path, {"server": {"listen": "127.0.0.1:2"}})


def test_a_profile_in_the_file_builds_on_the_one_of_that_name() -> None:
    config = parse({"profiles": {"mobile": {"locale": "de-DE"}, "wide": {"width": 1920, "height": 1080}}})
    assert config.profiles["mobile"] == ProfileConfig(device="Pixel 7", locale="de-DE")
    assert config.profiles["wide"].width == 1920
    assert config.profiles["default"] == ProfileConfig()


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the config file .*absent\.toml"):
        load(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[server\n")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML"):
        load(broken)


def test_the_flag_goes_before_the_environment_and_that_before_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(None, {}) is None
    (tmp_path / "chaser.toml").touch()
    assert find_file(None, {}) == Path("chaser.toml")
    assert find_file(None, {"CHASER_CONFIG": "/env.toml"}) == Path("/env.toml")
    assert find_file("/flag.toml", {"CHASER_CONFIG": "/env.toml"}) == Path("/flag.toml")


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("127.0.0.1:7070", ("127.0.0.1", 7070)),
        ("[::1]:0", ("::1", 0)),
        (":80", ("127.0.0.1", 80)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, pair: tuple[str, int]) -> None:
    assert split_host_port(text, key="server.listen") == pair


def test_the_data_directory_follows_the_setting_then_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/xdg")
    assert parse({"server": {"data_dir": "/here"}}).data_dir == Path("/here")
    assert parse({}).data_dir == Path("/xdg/chaser-server")


def test_answers_are_kept_in_the_users_cache_or_with_the_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = parse({"server": {"data_dir": "/here"}})
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert config.cache_dir == Path("/xdg/chaser-server")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.cache_dir == tmp_path / ".cache/chaser-server"
    for home in ("/", "/nonexistent"):  # of system users
        monkeypatch.setenv("HOME", home)
        assert config.cache_dir == Path("/here/cache")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # a user whom nobody knows: KeyError
    assert config.cache_dir == Path("/here/cache")


def test_the_size_of_the_server_is_a_number_or_auto() -> None:
    assert parse({"limits": {"max_sessions": "auto"}}).limits.max_sessions == "auto"
    assert parse({"limits": {"max_sessions": 3}}).limits.max_sessions == 3
    for wrong in ("many", "3", True, 1.5, ["auto"]):
        with pytest.raises(ConfigError, match=r"limits\.max_sessions must be a whole number or 'auto', not"):
            parse({"limits": {"max_sessions": wrong}})
    with pytest.raises(ConfigError, match=r"limits\.max_sessions must be at least 0"):
        parse({"limits": {"max_sessions": -1}})
