"""The configuration, read once from TOML and checked in full against the dataclasses of `config`.

An unknown key, a wrong type or an impossible value raises `ConfigError` naming the key as `section.key`.
"""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union

from chaser_server.config import Config, ProfileConfig, UpstreamConfig, builtin_profiles, split_host_port
from chaser_server.errors import ConfigError


def load(path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """Read the configuration.

    `path` names a TOML file, None means defaults alone. `overrides` (section -> key -> value) come from the command
    line and win. Raises `ConfigError` that names the file or the key.
    """
    tables: dict[str, Any] = {}
    if path is not None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for section, values in (overrides or {}).items():
        table = tables.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{section} must be a table, not {_name_of(table)}")
        table |= values
    return parse(tables)


def parse(tables: Mapping[str, Any]) -> Config:
    """Check plain tables, as TOML gives them, against the dataclasses. Raises `ConfigError`."""
    tables = dict(tables)
    profiles = _parse_profiles(tables.pop("profiles", {}))
    upstreams = _parse_upstreams(tables.pop("upstreams", []))
    config: Config = replace(_section(Config, tables, prefix=""), profiles=profiles, upstreams=upstreams)
    split_host_port(config.server.listen, key="server.listen")
    return config


def find_file(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """The config file to read: `--config`, else `CHASER_CONFIG`, else `./chaser.toml` if it is there."""
    chosen = named or environ.get("CHASER_CONFIG")
    if chosen:
        return Path(chosen)
    local = Path("chaser.toml")
    return local if local.exists() else None


def _parse_profiles(tables: Any) -> dict[str, ProfileConfig]:
    if not isinstance(tables, dict):
        raise ConfigError("profiles must be a table of tables: [profiles.NAME]")
    profiles = builtin_profiles()
    for name, values in tables.items():
        profiles[name] = _section(ProfileConfig, values, prefix=f"profiles.{name}", base=profiles.get(name))
    return profiles


def _parse_upstreams(tables: Any) -> tuple[UpstreamConfig, ...]:
    if not isinstance(tables, list):
        raise ConfigError("upstreams must be an array of tables: [[upstreams]]")
    upstreams = []
    for number, values in enumerate(tables, start=1):
        for needed in ("name", "url"):
            if isinstance(values, dict) and needed not in values:
                raise ConfigError(f"upstreams: number {number} needs a {needed}")
        upstreams.append(_section(UpstreamConfig, values, prefix=f"upstreams[{number}]"))
    return tuple(upstreams)


def _section(cls: Any, values: Any, *, prefix: str, base: Any = None) -> Any:
    """Build the dataclass `cls` from a table, on top of `base` when given."""
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix} must be a table, not {_name_of(values)}")
    known = {known_field.name: known_field for known_field in fields(cls)}
    hints = typing.get_type_hints(cls)
    result: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}.{name}" if prefix else name
        if name not in known:
            raise ConfigError(f"unknown setting {key}; known here: {', '.join(sorted(known))}")
        result[name] = _value(value, hints[name], known[name], key)
    return replace(base, **result) if base is not None else cls(**result)


def _value(value: Any, hint: Any, known: Field[Any], key: str) -> Any:
    if is_dataclass(hint):
        return _section(hint, value, prefix=key)
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    for kind in kinds:
        if (converted := _convert(value, kind)) is not None:
            _check_allowed(converted, known, key)
            return converted
    raise ConfigError(f"{key} must be {' or '.join(_describe(kind) for kind in kinds)}, not {_name_of(value)}")


def _convert(value: Any, kind: Any) -> Any:
    """`value` as `kind`, or None when it is of another type; TOML's `true` is no number."""
    if typing.get_origin(kind) is tuple:
        is_strings = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return tuple(value) if is_strings else None
    if typing.get_origin(kind) is Literal:
        return value if isinstance(value, str) and value in typing.get_args(kind) else None
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind else None


def _check_allowed(value: Any, known: Field[Any], key: str) -> None:
    low, high = known.metadata.get("low"), known.metadata.get("high")
    choices = known.metadata.get("choices") or ()
    if choices:
        for item in value if isinstance(value, tuple) else (value,):
            if item not in choices:
                raise ConfigError(f"{key} must be one of {', '.join(map(repr, choices))}, not {item!r}")
    if isinstance(value, float) and not math.isfinite(value):  # TOML has inf and nan, and nan passes any comparison
        raise ConfigError(f"{key} must be a finite number, not {value}")
    if isinstance(value, int | float) and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{key} must be {bounds}, not {value}")


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return "a list of strings"
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    return {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}.get(kind, str(kind))


def _name_of(value: Any) -> str:
    return {dict: "a table", list: "a list", bool: "true/false"}.get(type(value), repr(value))
