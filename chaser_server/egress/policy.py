"""Where a session may connect to, decided on the address that will be dialled. Pure: no name is looked up here."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from chaser_server.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The IANA special-purpose registries (RFC 6890 and its updates), as far as they are not the public internet.
_INWARD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("unspecified", ("0.0.0.0/8", "::/128")),
    ("loopback", ("127.0.0.0/8", "::1/128")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
    ("carrier NAT", ("100.64.0.0/10",)),  # RFC 6598; Alibaba's metadata address lies in it
    ("link-local", ("169.254.0.0/16", "fe80::/10")),  # most clouds' metadata addresses lie in it
    ("cloud metadata", ("168.63.129.16/32",)),  # Azure's, the one with a public address
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("reserved", ("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24")),
    ("reserved", ("203.0.113.0/24", "240.0.0.0/4", "100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20")),
    ("reserved", ("64:ff9b:1::/48", "5f00::/16")),  # RFC 8215: where the IPv4 address sits in it is anyone's guess
)
_INWARD_NETWORKS = tuple((kind, ip_network(text)) for kind, texts in _INWARD for text in texts)
_NAT64 = ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ip_network("::/96")
_ISATAP = re.compile(r"0[02]005efe", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is not made: a rule's name for events, and a sentence for the page."""

    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class _Rule:
    host: str  # normalised; "*" for any, "*.suffix" for what lies below suffix, "" when network decides
    network: Network | None
    port: int | None

    def matches(self, host: str, port: int, faces: Collection[Address]) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return any(face in self.network for face in faces)
        return self.host in ("*", host) or (self.host.startswith("*.") and host.endswith(self.host[1:]))


@dataclass(frozen=True, slots=True)
class Rules:
    """A list of destinations from the config.

    An entry is a host name, `*.suffix` (what lies below it, not itself), an address, a CIDR network or `*`, each
    with or without `:port` (IPv6 in brackets then).
    """

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Rules:
        """Raises ConfigError, which names the entry."""
        return cls(tuple(_parse_rule(entry) for entry in entries))

    def match(self, host: str, port: int, faces: Collection[Address]) -> bool:
        return any(rule.matches(host, port, faces) for rule in self.rules)


def _parse_rule(entry: str) -> _Rule:
    text = entry.strip()
    network = _network(text)
    if network is not None:
        return _Rule("", network, None)
    match = re.fullmatch(r"(?:\[(?P<literal>[^\]]+)\]|(?P<host>[^:\s]+))(?::(?P<port>\d{1,5}))?", text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise ConfigError(f"{entry!r} is not a host, *.suffix, address or network, with or without a :port")
    host = match["literal"] or match["host"]
    network = _network(host)
    return _Rule("" if network else normal_host(host), network, port)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def normal_host(host: str) -> str:
    """One spelling per host: lower case, ASCII (IDNA), no trailing dots or brackets, literals as Python writes them."""
    name = host.strip().strip("[]").rstrip(".").lower()
    address = literal_address(name)
    if address is not None:
        return str(address)
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        return name


def literal_address(host: str) -> Address | None:
    """The address that a host spells, None for a name.

    IPv4 also in the forms that inet_aton(3) takes (decimal, octal, hexadecimal, fewer than four parts), because
    getaddrinfo(3) takes them too; an IPv6 zone id is left out, because it chooses an interface and not an address.
    """
    text = host.strip("[]").rstrip(".").partition("%")[0]
    try:
        return ip_address(text)
    except ValueError:
        pass
    if not re.fullmatch(r"[0-9a-fA-FxX.]+", text):
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def is_localhost(host: str) -> bool:
    """RFC 6761 6.3: `localhost` and every name below it mean loopback, and are never looked up."""
    name = normal_host(host)
    return name == "localhost" or name.endswith(".localhost")


def faces_of(address: Address) -> tuple[Address, ...]:
    """The address and every IPv4 address it may reach by translation or tunnelling."""
    if isinstance(address, IPv4Address):
        return (address,)
    plain = IPv6Address(int(address))  # without a zone id
    found: list[Address | None] = [plain.ipv4_mapped, plain.sixtofour, *(plain.teredo or ())]
    last = IPv4Address(int(plain) & 0xFFFFFFFF)
    groups = plain.exploded.replace(":", "")
    if plain in _NAT64 or (plain in _IPV4_COMPATIBLE and int(plain) > 0xFFFF) or _ISATAP.match(groups[16:24]):
        found.append(last)
    return (plain, *(face for face in found if face is not None))


def kind_of(address: Address) -> str | None:
    """What inward network one address belongs to, None for the public internet."""
    return next((kind for kind, network in _INWARD_NETWORKS if address in network), None)


def is_loopback(address: Address) -> bool:
    """Whether connecting to the address reaches this machine (the unspecified address does so on Linux)."""
    return kind_of(address) in ("loopback", "unspecified")


def no_ports() -> Collection[int]:
    return ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session may reach.

    `is_public` says that the server is bound to more than loopback: then inward networks are refused unless `allow`
    names them. `block` goes before `allow`. `own_ports` are refused on this machine always: the server's listener,
    and with isolation "none" every DevTools port. `is_own_address` tells which addresses are this machine's.
    """

    is_public: bool = False
    allow: Rules = Rules()
    block: Rules = Rules()
    own_ports: Callable[[], Collection[int]] = no_ports
    is_own_address: Callable[[Address], bool] = is_loopback

    def judge_name(self, host: str, port: int) -> Refusal | None:
        """What can be said before the name is looked up: a blocked name or port."""
        literal = literal_address(host)
        faces = faces_of(literal) if literal else ()
        if self.block.match(normal_host(host), port, faces):
            return Refusal("blocked", f"{host}:{port} is blocked by this server's egress.block.")
        return None

    def judge(self, host: str, port: int, address: Address) -> Refusal | None:
        """Whether `address`, to which `host` resolved, may be dialled at `port`; None when it may."""
        name, faces = normal_host(host), faces_of(address)
        if self.block.match(name, port, faces):
            return Refusal("blocked", f"{host}:{port} is blocked by this server's egress.block.")
        if port in self.own_ports() and any(self.is_own_address(face) for face in faces):
            return Refusal("own_port", f"{host}:{port} belongs to the server itself and is not open to sessions.")
        kinds = (kind_of(face) for face in faces) if self.is_public else ()
        inward = next((kind for kind in kinds if kind), None)
        if inward and not self._is_allowed(name, port, faces):
            return Refusal("inward", f"{host}:{port} leads to a {inward} address, which is not open to sessions here.")
        return None

    def _is_allowed(self, name: str, port: int, faces: Collection[Address]) -> bool:
        """Every inward face must be allowed, so that an allowed tunnel does not open what it leads to."""
        return all(self.allow.match(name, port, (face,)) for face in faces if kind_of(face))
