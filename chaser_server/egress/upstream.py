"""Upstream proxies as the config names them: which one a session takes, and which are set aside after failures.
Pure apart from the clock and the random source it is given; dials nothing."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from chaser_server.egress.policy import Address
from chaser_server.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}
FAILURES_BEFORE_ASIDE = 2
_FIRST_ASIDE_SECONDS = 5.0
_LONGEST_ASIDE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One upstream proxy. `ip` is the address it shows to the world, where that is known beforehand.

    Names are looked up and judged here and the upstream is given the address, unless `remote_dns` leaves looking up
    to the upstream: then what a name leads to is no longer judged.
    """

    name: str
    scheme: str
    host: str
    port: int
    region: str | None = None
    weight: float = 1.0
    ip: Address | None = None
    remote_dns: bool = False
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(
        cls,
        name: str,
        url: str,
        *,
        region: str | None = None,
        weight: float = 1.0,
        ip: str | None = None,
        remote_dns: bool = False,
    ) -> Upstream:
        """Read an `[[upstreams]]` entry. Raises ConfigError, which names the upstream but never shows its URL."""
        scheme, host, port, username, password = _parse_url(name, url)
        if not weight > 0:
            raise ConfigError(f"upstream {name!r}: weight must be more than 0")
        return cls(name, scheme, host, port, region, weight, _parse_ip(name, ip), remote_dns, username, password)


def _parse_url(name: str, url: str) -> tuple[str, str, int, str | None, str]:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        raise ConfigError(f"upstream {name!r}: url cannot be read") from None
    if scheme not in _DEFAULT_PORTS or not host or port is None or parts.path not in ("", "/") or parts.query:
        raise ConfigError(f"upstream {name!r}: url must be http, https or socks5 ://[user:password@]host[:port]")
    username = None if parts.username is None else unquote(parts.username)
    password = unquote(parts.password or "")
    # RFC 1929 2 and RFC 7617 2: what the two ways to show credentials cannot carry.
    if scheme == "socks5" and max(len((username or "").encode()), len(password.encode())) > 255:
        raise ConfigError(f"upstream {name!r}: socks5 credentials are at most 255 bytes each")
    if scheme != "socks5" and ":" in (username or ""):
        raise ConfigError(f"upstream {name!r}: a user name cannot hold a colon")
    return scheme, host, port, username, password


def _parse_ip(name: str, text: str | None) -> Address | None:
    try:
        return None if text is None else ip_address(text)
    except ValueError:
        raise ConfigError(f"upstream {name!r}: ip must be an IPv4 or IPv6 address") from None


def pick(candidates: Sequence[Upstream], source: random.Random) -> Upstream:
    """One of them, by weight."""
    return source.choices(candidates, [candidate.weight for candidate in candidates])[0]


@dataclass(slots=True)
class _Health:
    failures: int = 0
    aside_until: float = 0.0


class UpstreamPool:
    """The upstreams of one config, shared by all sessions, and what is known of their health.

    After `FAILURES_BEFORE_ASIDE` failures in a row an upstream is set aside, for 5 s at first and twice as long after
    each further failure, up to 5 minutes; then it is tried again. One success clears it. `failures` counts all of them,
    by name.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        source: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        names = [upstream.name for upstream in upstreams]
        if len(set(names)) != len(names):
            raise ConfigError("upstreams: two of them have the same name")
        self._upstreams = tuple(upstreams)
        self._source = source or random.SystemRandom()
        self._clock = clock
        self._health = {name: _Health() for name in names}
        self.failures = Counter(dict.fromkeys(names, 0))

    @property
    def regions(self) -> frozenset[str]:
        return frozenset(upstream.region for upstream in self._upstreams if upstream.region)

    def pick(self, region: str | None = None) -> Upstream | None:
        """An upstream by weight, of `region` if given; None if there is none.

        When all that come into question are set aside, the one that is due first is tried all the same.
        """
        fitting = [one for one in self._upstreams if region in (None, one.region)]
        healthy = [one for one in fitting if not self.is_aside(one)]
        if healthy:
            return pick(healthy, self._source)
        return min(fitting, key=lambda one: self._health[one.name].aside_until, default=None)

    def standing_aside(self) -> dict[str, bool]:
        """Which of all upstreams are set aside now, by name."""
        return {upstream.name: self.is_aside(upstream) for upstream in self._upstreams}

    def is_aside(self, upstream: Upstream) -> bool:
        return self._health[upstream.name].aside_until > self._clock()

    def worked(self, upstream: Upstream) -> None:
        """It took a connection."""
        self._health[upstream.name] = _Health()

    def failed(self, upstream: Upstream) -> None:
        """It refused, did not answer, turned the credentials down, or talked nonsense."""
        health = self._health[upstream.name]
        health.failures += 1
        self.failures[upstream.name] += 1
        excess = health.failures - FAILURES_BEFORE_ASIDE
        if excess >= 0:
            seconds = min(_FIRST_ASIDE_SECONDS * 2.0 ** min(excess, 16), _LONGEST_ASIDE_SECONDS)
            health.aside_until = self._clock() + seconds
