"""Settings: read once from TOML, checked in full, and handed to the rooms as frozen sections.

The dataclasses hold every default; `chaser.example.toml` repeats them with a line of why, and a test holds the two
together. An unknown key, a wrong type or an impossible value raises `ConfigError` naming the key as `section.key`.
"""

from __future__ import annotations

import ipaddress
import math
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union

from chaser_server.errors import ConfigError

_YEAR_SECONDS = 365 * 24 * 3600


def _setting(
    default: Any = None,
    *,
    factory: Any = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that also carries what is allowed."""
    allowed = {"low": low, "high": high, "choices": choices}
    if factory is not None:
        return field(default_factory=factory, metadata=allowed)
    return field(default=default, metadata=allowed)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the server listens and how it is reached from outside."""

    listen: str = "127.0.0.1:7070"
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    data_dir: str = ""
    drain_seconds: float = _setting(8.0, low=0, high=600)

    @property
    def address(self) -> tuple[str, int]:
        """`listen` as host and port; port 0 asks the system for a free one."""
        host, port = split_host_port(self.listen, key="server.listen")
        return host, port

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the server, as far as the settings tell."""
        if self.public_url or self.trusted_proxies:
            return False
        host, _ = self.address
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, and for whom."""

    format: str = _setting("text", choices=("text", "json"))
    level: str = _setting("info", choices=("debug", "info", "warning", "error"))


@dataclass(frozen=True, slots=True)
class BrowserConfig:
    """Which Chromium is launched and how."""

    executable: str = ""
    display: str = _setting("xvfb", choices=("xvfb", "headless"))
    xvfb: str = "Xvfb"
    extra_args: tuple[str, ...] = ()
    launch_timeout_seconds: float = _setting(30.0, low=1, high=300)
    launches_at_once: int = _setting(4, low=1, high=64)


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What stands between a session and the machine."""

    isolation: str = _setting("bwrap", choices=("bwrap", "none"))
    bwrap: str = "bwrap"
    user: str = "nobody"
    scratch_max_bytes: int = _setting(1 << 30, low=64 << 20)


@dataclass(frozen=True, slots=True)
class EgressConfig:
    """What sessions may reach."""

    private_networks: str = _setting("auto", choices=("auto", "open", "closed"))
    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """One proxy that sessions may go out through. The URL may hold credentials, so it is never shown."""

    name: str
    url: str = field(repr=False)
    region: str = ""
    weight: float = _setting(1.0, low=0.001)
    ip: str = ""
    remote_dns: bool = False


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """One kind of browser a client may ask for by name."""

    browser: str = _setting("chromium", choices=("chromium", "headless-shell"))
    device: str = ""
    width: int = _setting(1280, low=200, high=7680)
    height: int = _setting(720, low=200, high=4320)
    display: str = _setting("", choices=("", "xvfb", "headless"))
    locale: str = ""
    timezone: str = ""
    region: str = ""
    max_egress_bytes: int = _setting(0, low=0)
    extra_args: tuple[str, ...] = ()
    pool: int = _setting(0, low=0, high=100)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """Browsers that stand ready before anybody asks for one."""

    size: int = _setting(1, low=0, high=100)
    max_age_seconds: float = _setting(600.0, low=1, high=_YEAR_SECONDS)


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """How much one workspace, and all of them together, may have open."""

    concurrent_sessions: int = _setting(10, low=0)
    max_sessions: int | Literal["auto"] = _setting(0, low=0)
    idle_seconds: float = _setting(300.0, low=1, high=_YEAR_SECONDS)
    egress_budget_bytes: int = _setting(0, low=0)
    creates_per_minute: int = _setting(0, low=0)
    screenshots_per_minute: int = _setting(0, low=0)
    preview_tokens_per_minute: int = _setting(0, low=0)


@dataclass(frozen=True, slots=True)
class CdpConfig:
    """The door for automation clients."""

    require_key: bool = False
    hold_seconds: float = _setting(30.0, low=0, high=300)
    ping_seconds: float = _setting(25.0, low=1, high=3600)


@dataclass(frozen=True, slots=True)
class PreviewConfig:
    """The live view."""

    fps: float = _setting(5.0, low=0.1, high=30)
    max_fps: float = _setting(30.0, low=0.1, high=60)
    token_seconds: float = _setting(300.0, low=1, high=86400)


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """The web pages."""

    password: str = field(default="", repr=False)
    session_hours: float = _setting(12.0, low=0.1, high=24 * 365)


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Who may read /metrics."""

    require_key: str = _setting("auto", choices=("auto", "always", "never"))


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long what is over is remembered. Usage sums stay for good."""

    sessions_days: float = _setting(90.0, low=0.001, high=36500)
    audit_days: float = _setting(365.0, low=0.001, high=36500)


@dataclass(frozen=True, slots=True)
class MeteringConfig:
    """Which counted channels make up `bytes_up` and `bytes_down`, and what they cost."""

    count: tuple[str, ...] = _setting(factory=lambda: ("egress", "cdp"), choices=("egress", "cdp", "preview"))
    flush_seconds: float = _setting(1.0, low=0.1, high=60)
    price_micro_usd_per_gb: int = _setting(5_000_000, low=0)


def _builtin_profiles() -> dict[str, ProfileConfig]:
    light = ProfileConfig(browser="headless-shell")
    return {"default": ProfileConfig(), "mobile": ProfileConfig(device="Pixel 7"), "light": light}


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; each room is handed only its section."""

    server: ServerConfig = field(default_factory=ServerConfig)
    log: LogConfig = field(default_factory=LogConfig)
    browser: BrowserConfig = field(default_factory=BrowserConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    cdp: CdpConfig = field(default_factory=CdpConfig)
    egress: EgressConfig = field(default_factory=EgressConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)
    dashboard: DashboardConfig = field(default_factory=DashboardConfig)
    metering: MeteringConfig = field(default_factory=MeteringConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    profiles: dict[str, ProfileConfig] = field(default_factory=_builtin_profiles)
    upstreams: tuple[UpstreamConfig, ...] = ()

    @property
    def data_dir(self) -> Path:
        """Where the database lives: as configured, else the user's data directory by the XDG base directory rules."""
        if self.server.data_dir:
            return Path(self.server.data_dir).expanduser()
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return Path(base) / "chaser-server"

    @property
    def cache_dir(self) -> Path:
        """Where answers are kept that can be asked for again: the user's cache directory, by the same rules.

        A user without a home keeps them with the database.
        """
        home = os.path.expanduser("~")
        is_home = home != "/" and os.access(home, os.W_OK)
        if base := os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if is_home else ""):
            return Path(base) / "chaser-server"
        return self.data_dir / "cache"


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


def split_host_port(text: str, *, key: str) -> tuple[str, int]:
    """`HOST:PORT` or `[v6]:PORT` as a pair. Raises `ConfigError` naming `key`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"{key} must be HOST:PORT with a port from 0 to 65535, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _parse_profiles(tables: Any) -> dict[str, ProfileConfig]:
    if not isinstance(tables, dict):
        raise ConfigError("profiles must be a table of tables: [profiles.NAME]")
    profiles = _builtin_profiles()
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
