"""Which address of ours a peer is told (N2)."""

from __future__ import annotations

from ipaddress import ip_network

from voipat.advertising import Advertising

PUBLIC, LOCAL = "203.0.113.7", "192.168.1.5"


def test_without_a_public_address_the_sockets_own_is_told() -> None:
    assert Advertising(None).towards("198.51.100.1", LOCAL) == LOCAL


def test_a_phone_in_the_lan_is_told_the_lan_address_and_others_the_public_one() -> None:
    advertising = Advertising(PUBLIC, [ip_network("192.168.0.0/16")])
    for _ in range(2):
        assert advertising.towards("192.168.7.7", LOCAL) == LOCAL
        assert advertising.towards("198.51.100.1", LOCAL) == PUBLIC


def test_a_name_is_nobody_of_ours() -> None:
    assert Advertising(PUBLIC, [ip_network("192.168.0.0/16")]).towards("phone.example.com", LOCAL) == PUBLIC


def test_the_other_family_keeps_its_own_address() -> None:
    assert Advertising(PUBLIC).towards("2001:db8::9", "2001:db8::1") == "2001:db8::1"
    assert Advertising("2001:db8::7").towards("2001:db8::9", "fd00::1") == "2001:db8::7"


def test_a_local_network_of_ipv6_and_a_scope() -> None:
    advertising = Advertising("2001:db8::7", [ip_network("fe80::/10")])
    assert advertising.towards("fe80::1%eth0", "fe80::2") == "fe80::2"


def test_what_is_remembered_is_bounded() -> None:
    advertising = Advertising(PUBLIC, [ip_network("10.0.0.0/8")])
    for number in range(10_100):
        advertising.towards(f"10.0.{number // 256}.{number % 256}", LOCAL)
    assert len(advertising._is_local) <= 10_000


def test_a_listener_may_have_an_address_of_its_own() -> None:
    advertising = Advertising(PUBLIC, [ip_network("192.168.0.0/16")], {LOCAL: "203.0.113.8", "::": "2001:db8::8"})
    assert advertising.towards("198.51.100.1", LOCAL) == "203.0.113.8"
    assert advertising.towards("198.51.100.1", "192.168.1.6") == PUBLIC
    assert advertising.towards("192.168.7.7", LOCAL) == LOCAL
    assert advertising.towards("2001:db8::9", "fd00::1") == "2001:db8::8"
    assert advertising.addresses == {PUBLIC, "203.0.113.8", "2001:db8::8"}
