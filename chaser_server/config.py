"""Settings, as frozen sections that are handed to the rooms; `config_file` reads them.

The dataclasses hold every default and what is allowed; `chaser.example.toml` repeats the defaults with a line of why,
and a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

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


def builtin_profiles() -> dict[str, ProfileConfig]:
    """The profiles that are there unless the file says otherwise."""
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
    profiles: dict[str, ProfileConfig] = field(default_factory=builtin_profiles)
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


def split_host_port(text: str, *, key: str) -> tuple[str, int]:
    """`HOST:PORT` or `[v6]:PORT` as a pair. Raises `ConfigError` naming `key`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"{key} must be HOST:PORT with a port from 0 to 65535, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)
