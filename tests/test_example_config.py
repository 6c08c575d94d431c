"""`chaser.example.toml` is the list of settings: complete, with the defaults, each with a line of why."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from pathlib import Path

from chaser_server.config import Config, UpstreamConfig
from chaser_server.config_file import parse

EXAMPLE = Path(__file__).parent.parent / "chaser.example.toml"


def test_the_example_says_the_defaults() -> None:
    assert parse(tomllib.loads(EXAMPLE.read_text())) == Config()


def test_the_example_names_every_setting() -> None:
    tables = tomllib.loads(EXAMPLE.read_text())
    defaults = asdict(Config())
    for section, settings in defaults.items():
        if section not in ("profiles", "upstreams"):
            assert tables[section].keys() == settings.keys(), section
    assert tables["profiles"]["default"].keys() == defaults["profiles"]["default"].keys()


def test_the_commented_upstream_is_right_and_whole() -> None:
    text = EXAMPLE.read_text()
    commented = text[text.index("# [[upstreams]]") :].replace("# ", "", 1).replace("\n# ", "\n")
    (upstream,) = tomllib.loads(commented)["upstreams"]
    assert upstream.keys() == {field.name for field in fields(UpstreamConfig)}
    assert len(parse({"upstreams": [upstream]}).upstreams) == 1


def test_every_setting_of_the_example_has_a_reason() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if " = " in line and not line.startswith("#")]
    bare = [
        line
        for line in lines
        if "#" not in line and not line.startswith(("height", 'device = "Pixel', 'browser = "headless-shell"'))
    ]
    assert bare == []
