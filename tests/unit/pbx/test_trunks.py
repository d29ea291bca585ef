"""Who counts as a trunk, and who never does (security.md H11); what a trunk is told of a caller."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbx.identity import number_of
from pbx.tenants import TenantConfig
from pbx.trunk_config import TrunkAddress, TrunkConfig
from pbx.trunk_line import FAILURES, RETRY_S, TrunkLine
from pbx.trunks import Trunks
from sipcore.entropy import SeededEntropy
from sipcore.fields import NameAddr
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.message import Request
from sipcore.uri import Uri
from voipat import TrunkIdentity
from voipat.connected import Connected, number_told

LOCAL = Address("192.0.2.1", 5060)
NETWORKS = ["198.51.100.0/28", "203.0.113.7/32", "2001:db8:7::/64", "203.0.113.0/25"]


def at(text: str, port: int | None = None) -> TrunkAddress:
    return TrunkAddress(ip_network(text), port)


def made(*trunks: TrunkConfig, tenant: str = "a.test") -> Trunks:
    found = Trunks(SeededEntropy(1))
    found.configure([TenantConfig(tenant, trunks=trunks)])
    return found


def invite(uri: str = "sip:+12025550100@192.0.2.1", *headers: tuple[str, str]) -> Request:
    lines = [("From", "<sip:+4930123@carrier.test>;tag=1"), ("To", f"<{uri}>"), ("Call-ID", "c"), ("CSeq", "1 INVITE")]
    return Request("INVITE", uri, [*lines, *headers])


def asked(
    trunks: Trunks, host: str, port: int = 5060, transport: str = "UDP", request: Request | None = None
) -> TrunkIdentity | None:
    return trunks.identify(Flow(transport, LOCAL, Address(host, port)), request or invite())


WIDE = made(TrunkConfig("one", "c.example", addresses=tuple(map(at, NETWORKS))))


def test_ten_thousand_addresses_outside_the_networks_never_match() -> None:
    dice = random.Random(35190)
    inside = [ip_network(text) for text in NETWORKS]
    tried = 0
    while tried < 10_000:
        bits, kind = dice.choice([(32, ip_address), (128, ip_address)])
        # Half of them near a border of a network, where a wrong mask would show.
        base = int(dice.choice(inside).network_address) if dice.random() < 0.5 else dice.getrandbits(bits)
        number = (base + dice.randint(-300, 300)) % (1 << bits)
        address = kind(number)
        if any(address.version == network.version and address in network for network in inside):
            continue
        tried += 1
        assert asked(WIDE, str(address)) is None, address


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_a_match_is_membership_and_nothing_else(address: object, port: int) -> None:
    inside = any(address in ip_network(text) for text in NETWORKS if ":" not in text)
    assert (asked(WIDE, str(address), port) is not None) == inside


@pytest.mark.parametrize(
    "header",
    [
        ("Via", "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKx;received=203.0.113.7;rport=5060"),
        ("Contact", "<sip:203.0.113.7:5060>"),
        ("From", "<sip:+4930123@203.0.113.7>;tag=1"),
        ("P-Asserted-Identity", "<sip:+4930123@c.example>"),
        ("Record-Route", "<sip:203.0.113.7;lr>"),
        ("Route", "<sip:203.0.113.7;lr>"),
        ("X-Forwarded-For", "203.0.113.7"),
    ],
)
def test_no_header_makes_a_trunk(header: tuple[str, str]) -> None:
    request = invite()
    request.headers.set(*header)
    assert asked(WIDE, "127.0.0.9", request=request) is None


def test_the_longest_network_wins_and_an_exact_port_before_any() -> None:
    trunks = made(
        TrunkConfig("wide", "c.example", addresses=(at("198.51.100.0/24"),)),
        TrunkConfig("narrow", "c.example", addresses=(at("198.51.100.0/28"),)),
        TrunkConfig("port", "c.example", addresses=(at("198.51.100.0/28", 5090),)),
    )
    found = [
        asked(trunks, host, port) for host, port in [("198.51.100.77", 1), ("198.51.100.7", 1), ("198.51.100.7", 5090)]
    ]
    assert [identity.trunk if identity else None for identity in found] == ["wide", "narrow", "port"]


def test_the_same_address_from_another_port_is_no_trunk() -> None:
    trunks = made(TrunkConfig("one", "c.example", addresses=(at("127.0.0.1/32", 5090),)))
    assert asked(trunks, "127.0.0.1", 5090) is not None
    assert asked(trunks, "127.0.0.1", 5091) is None


def test_two_trunks_on_one_address_are_told_apart_by_the_number_or_not_at_all() -> None:
    where = (at("198.51.100.7/32"),)
    trunks = made(
        TrunkConfig("one", "c.example", addresses=where, dids=("+1",)),
        TrunkConfig("two", "c.example", addresses=where, dids=("+2",)),
    )
    found = [asked(trunks, "198.51.100.7", request=invite(f"sip:{number}@192.0.2.1")) for number in ("+1", "+2", "+3")]
    assert [identity.trunk if identity else None for identity in found] == ["one", "two", None]


def test_a_trunk_over_tls_is_none_without_it_and_none_with_another_certificate() -> None:
    config = TrunkConfig(
        "one", "c.example", transport="tls", addresses=(at("198.51.100.7/32"),), certificate_name="c.example"
    )
    trunks = made(config)
    remote = Address("198.51.100.7", 40000)
    assert asked(trunks, "198.51.100.7") is None
    assert trunks.identify(TlsFlow("TLS", LOCAL, remote, 1), invite()) is None
    assert trunks.identify(TlsFlow("TLS", LOCAL, remote, 1, names=("evil.example",)), invite()) is None
    assert trunks.identify(TlsFlow("TLS", LOCAL, remote, 1, names=("C.example",)), invite()) is not None


def test_a_trunk_of_plain_sip_is_not_known_over_tls() -> None:
    trunks = made(TrunkConfig("one", "c.example", addresses=(at("198.51.100.7/32"),)))
    assert trunks.identify(TlsFlow("TLS", LOCAL, Address("198.51.100.7", 1), 1), invite()) is None


def test_a_reload_keeps_the_state_of_a_trunk_that_stays() -> None:
    trunks = made(TrunkConfig("one", "c.example"), TrunkConfig("two", "c.example"))
    line = trunks.line("a.test", "one")
    trunks.configure([TenantConfig("a.test", trunks=(TrunkConfig("one", "other.example"),))])
    assert trunks.line("a.test", "one") is line and line is not None and line.config.host == "other.example"
    assert trunks.line("a.test", "two") is None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_three_failures_take_a_trunk_out_and_one_success_brings_it_back() -> None:
    line = TrunkLine("a.test", TrunkConfig("one", "c.example"), "t", Clock())
    for _ in range(FAILURES - 1):
        line.failed("gone")
    assert line.in_service
    line.failed("gone")
    assert not line.in_service and line.row()["state"] == "out"
    line.succeeded()
    assert line.in_service


def test_a_trunk_that_is_never_asked_is_tried_again_after_a_while() -> None:
    clock = Clock()
    line = TrunkLine("a.test", TrunkConfig("one", "c.example", options_s=0.0), "t", clock)
    for _ in range(FAILURES):
        line.failed("gone")
    assert not line.in_service
    clock.now = RETRY_S
    assert line.in_service
    line.failed("still gone")
    assert not line.in_service


def test_calls_a_second_are_counted_over_any_second() -> None:
    clock = Clock()
    line = TrunkLine("a.test", TrunkConfig("one", "c.example", cps=5), "t", clock)
    taken = []
    for tick in range(300):
        clock.now = tick / 100
        if line.has_room():
            line.take()
            taken.append(clock.now)
    assert len(taken) <= 5 + 3 * 5
    assert sum(moment < 1.0 for moment in taken) >= 5


def test_what_a_registrar_teaches_is_bounded() -> None:
    line = TrunkLine("a.test", TrunkConfig("one", "c.example"), "t", Clock())
    for number in range(1000):
        line.learn(Address(f"10.0.{number // 250}.{number % 250}", 5060), port=True)
    assert len(line.learned) <= 16


def test_a_host_is_a_trunks_when_a_network_has_it_or_a_registrar_answered_from_it() -> None:
    dice = random.Random(35191)
    for text in NETWORKS:
        network = ip_network(text)
        for _ in range(100):
            number = int(network.network_address) + dice.randint(-3, 300)
            host = str(type(network.network_address)(number))
            assert WIDE.may_be_at(host) is any(ip_address(host) in ip_network(each) for each in NETWORKS)
    assert not made().may_be_at("203.0.113.7")
    named = made(TrunkConfig("one", "c.example"))
    assert not named.may_be_at("198.51.100.9")
    line = named.line("a.test", "one")
    assert line is not None
    line.learn(Address("198.51.100.9", 5060), port=True)
    assert named.may_be_at("198.51.100.9") and not named.may_be_at("2001:db8::9")
    named.configure([])
    assert not named.may_be_at("198.51.100.9")


@pytest.mark.parametrize(
    ("user", "number"),
    [("a%3Bb", "a;b"), ("O%27Reilly;phone-context=x.test", "O'Reilly"), ("%27%3B%20DROP", "'; DROP"), ("x%zz", "x%zz")],
)
def test_a_semicolon_that_is_escaped_begins_no_parameter(user: str, number: str) -> None:
    uri = Uri("sip", user, "carrier.test")
    assert number_of(uri) == number_told(Connected(NameAddr(uri), hidden=False)) == number
