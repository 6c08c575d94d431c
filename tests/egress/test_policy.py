"""The table of what may be reached, in every spelling."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from chaser_server.egress.policy import Policy, Rules, is_localhost, literal_address, normal_host
from chaser_server.errors import ConfigError


def verdict(policy: Policy, host: str, port: int = 80, address: str | None = None) -> str | None:
    """The rule that refuses, None when it may be dialled."""
    literal = ip_address(address) if address else literal_address(host)
    refusal = policy.judge(host, port, literal)
    return refusal.rule if refusal else None


PUBLIC = Policy(is_public=True, own_ports=lambda: {7070})
LOCAL = Policy(own_ports=lambda: {7070})

INWARD = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2002:0a00:0001::",
    "2001:0:7f00:1::1",
    "2001:0:0808:0808:0:0:80ff:fffe",
    "2607:f8b0::5efe:10.0.0.1",
    "2607:f8b0::200:5efe:192.168.0.1",
]

OUTWARD = [
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]

SPELLINGS = [
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0X7F.0.0.1", "127.0.0.1"),
    ("0177.0.0.01", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("0xa9fea9fe", "169.254.169.254"),
    ("0251.0376.0251.0376", "169.254.169.254"),
    ("[::1]", "::1"),
    ("[fe80::1%25eth0]", "fe80::1"),
    ("::FFFF:127.0.0.1", "::ffff:7f00:1"),
]


@pytest.mark.parametrize("address", INWARD)
def test_a_public_server_refuses_what_leads_inward(address):
    assert verdict(PUBLIC, address) == "inward"
    assert verdict(PUBLIC, "rebound.example", address=address) == "inward"


@pytest.mark.parametrize("address", OUTWARD)
def test_a_public_server_allows_the_internet(address):
    assert verdict(PUBLIC, address) is None


@pytest.mark.parametrize("address", [one for one in INWARD + OUTWARD if one != "fe80::1%eth0"])
def test_a_loopback_server_allows_everything_else(address):
    assert verdict(LOCAL, address) is None


@pytest.mark.parametrize(("spelling", "address"), SPELLINGS)
def test_every_spelling_of_an_address_is_the_same_host(spelling, address):
    assert literal_address(spelling) == ip_address(address)
    assert normal_host(spelling) == address
    assert verdict(PUBLIC, spelling) == "inward"


@pytest.mark.parametrize(
    "name", ["example.com", "1.example", "0x", "face.b00c.example", "1.2.3.4.5", "256.256.256.256"]
)
def test_a_name_is_not_taken_for_an_address(name):
    assert literal_address(name) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "2130706433", "127.0.0.1."]
)
@pytest.mark.parametrize("policy", [LOCAL, PUBLIC])
def test_the_server_itself_is_never_open_to_a_session(policy, host):
    assert verdict(policy, host, 7070) == "own_port"


def test_no_allow_list_opens_the_server_itself():
    policy = Policy(is_public=True, allow=Rules.parse(["*", "127.0.0.1:7070"]), own_ports=lambda: {7070})
    assert verdict(policy, "127.0.0.1", 7070) == "own_port"
    assert verdict(policy, "127.0.0.1", 7071) is None


def test_own_ports_are_asked_for_each_time():
    ports: set[int] = set()
    policy = Policy(own_ports=lambda: ports)
    assert verdict(policy, "localhost", 9222, "127.0.0.1") is None
    ports.add(9222)
    assert verdict(policy, "localhost", 9222, "127.0.0.1") == "own_port"


def test_the_servers_port_on_another_machine_is_open():
    assert verdict(LOCAL, "10.0.0.7", 7070) is None


def test_an_address_known_to_be_this_machine_counts_as_its_own():
    policy = Policy(own_ports=lambda: {7070}, is_own_address=lambda address: str(address) == "10.0.0.7")
    assert verdict(policy, "wiki.corp", 7070, "10.0.0.7") == "own_port"


@pytest.mark.parametrize(
    ("entry", "host", "port", "address", "matches"),
    [
        ("wiki.corp", "wiki.corp", 80, "10.0.0.1", True),
        ("wiki.corp", "WIKI.corp.", 80, "10.0.0.1", True),
        ("wiki.corp", "a.wiki.corp", 80, "10.0.0.1", False),
        ("wiki.corp:8080", "wiki.corp", 8080, "10.0.0.1", True),
        ("wiki.corp:8080", "wiki.corp", 80, "10.0.0.1", False),
        ("*.corp", "wiki.corp", 80, "10.0.0.1", True),
        ("*.corp", "corp", 80, "10.0.0.1", False),
        ("*.corp", "xcorp", 80, "10.0.0.1", False),
        ("*.corp:443", "wiki.corp", 443, "10.0.0.1", True),
        ("*:3000", "any.example", 3000, "10.0.0.1", True),
        ("10.0.0.0/8", "rebound.example", 80, "10.9.9.9", True),
        ("10.0.0.0/8", "rebound.example", 80, "192.168.0.1", False),
        ("10.0.0.0/8:443", "10.9.9.9", 443, "10.9.9.9", True),
        ("10.0.0.0/8:443", "10.9.9.9", 80, "10.9.9.9", False),
        ("10.1.1.1", "10.1.1.1", 80, "10.1.1.1", True),
        ("10.1.1.1:81", "167837953", 81, "10.1.1.1", True),
        ("fd00::/8", "fd00::1", 80, "fd00::1", True),
        ("[fd00::1]:81", "fd00::1", 81, "fd00::1", True),
        ("[fd00::1]:81", "fd00::1", 80, "fd00::1", False),
        ("bücher.corp", "xn--bcher-kva.corp", 80, "10.0.0.1", True),
    ],
)
def test_a_rule_names_hosts_suffixes_addresses_and_networks_with_or_without_a_port(entry, host, port, address, matches):
    rules = Rules.parse([entry])
    assert (verdict(Policy(is_public=True, allow=rules), host, port, address) is None) == matches
    assert (verdict(Policy(block=rules), host, port, address) == "blocked") == matches


def test_a_block_goes_before_an_allow():
    policy = Policy(allow=Rules.parse(["*"]), block=Rules.parse(["evil.example"]))
    assert verdict(policy, "evil.example", 443, "93.184.216.34") == "blocked"


def test_a_blocked_name_is_refused_before_it_is_looked_up():
    policy = Policy(block=Rules.parse(["*.evil.example", "*:25", "10.0.0.0/8"]))
    assert policy.judge_name("a.evil.example.", 443)
    assert policy.judge_name("good.example", 25)
    assert policy.judge_name("0xa000001", 80)
    assert policy.judge_name("good.example", 443) is None


def test_blocking_an_address_blocks_what_translates_to_it():
    policy = Policy(block=Rules.parse(["93.184.216.34"]))
    assert verdict(policy, "::ffff:93.184.216.34") == "blocked"


def test_allowing_the_way_does_not_allow_where_it_leads():
    policy = Policy(is_public=True, allow=Rules.parse(["64:ff9b::/96"]))
    assert verdict(policy, "64:ff9b::a9fe:a9fe") == "inward"


@pytest.mark.parametrize("entry", ["", "a:b", "a:0", "a:70000", "[::1", "http://a/", "a b"])
def test_a_rule_that_cannot_be_read_stops_the_start_and_is_named(entry):
    with pytest.raises(ConfigError, match="is not a host"):
        Rules.parse([entry])


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("localhost.example", False),
        ("mylocalhost", False),
    ],
)
def test_localhost_and_what_is_below_it_is_local(host, answer):
    assert is_localhost(host) is answer
