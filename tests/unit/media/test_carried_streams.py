"""Ports that carry what is no audio: RTP with its RTCP, and UDPTL, as they came."""

from __future__ import annotations

import struct

from media_bench import Bench, rtp
from pylibsrtp import Policy, Session

from media import Port, SrtpKeys
from media.keys import AES_CM_80

ALICE, BOB, STRANGER = ("192.0.2.1", 5004), ("192.0.2.2", 6004), ("198.51.100.66", 1234)
PLI = bytes.fromhex("81ce0002") + struct.pack("!II", 7, 8)


def carried(bench: Bench, *, rtp: bool = True) -> tuple[Port, Port]:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    for port in (a, b):
        bench.engine.carry(port, rtp=rtp)
    bench.engine.connect(a, b, a_to_b={}, b_to_a={})
    return a, b


def test_every_octet_goes_on_whatever_its_numbers_are(bench: Bench) -> None:
    a, b = carried(bench)
    packets = [rtp(5, 90000, ssrc=7), rtp(6, 90000, ssrc=7), rtp(900, 17, ssrc=8), rtp(7, 93000, ssrc=7)]
    for packet in packets:
        bench.engine.feed(a, packet, ALICE)
    assert [(one.port, one.to, one.packet) for one in bench.sent()] == [(b, BOB, packet) for packet in packets]
    assert (bench.engine.stats(a).packets_in, bench.engine.stats(b).packets_out) == (4, 4)


def test_feedback_goes_on_over_both_ways_of_rtcp(bench: Bench) -> None:
    a, b = carried(bench)
    bench.engine.feed(a, PLI, (ALICE[0], ALICE[1] + 1), rtcp=True)
    bench.engine.feed(b, PLI, BOB)  # muxed, whatever was said
    found = [(one.port, one.to, one.packet) for one in bench.sent(rtcp=True)]
    assert found == [(b, (BOB[0], BOB[1] + 1), PLI), (a, (ALICE[0], ALICE[1] + 1), PLI)]
    bench.engine.feed(a, PLI[:-1], ALICE, rtcp=True)
    bench.engine.feed(a, PLI, STRANGER, rtcp=True)
    assert bench.drops(a) == {"rtcp_junk": 1, "rtcp_foreign": 1}


def test_a_fax_is_no_rtp_and_goes_on(bench: Bench) -> None:
    a, b = carried(bench, rtp=False)
    for number in range(3):
        bench.engine.feed(a, struct.pack("!H", number) + b"\x06\x01\x0a\x80", ALICE)
    assert [one.packet[:2] for one in bench.sent() if one.port is b] == [b"\0\0", b"\0\1", b"\0\2"]
    bench.engine.feed(a, b"\0\1\6", ALICE)
    bench.engine.feed(a, struct.pack("!H", 9) + b"\x06\x01\x0a\x80", STRANGER)
    bench.engine.feed(a, b"\0\0\0\0", ALICE, rtcp=True)
    assert bench.drops(a) == {"not_rtp": 1, "foreign": 1, "rtcp_junk": 1}


def test_a_flood_ends_at_its_limit_and_who_is_held_gets_nothing(bench: Bench) -> None:
    a, b = carried(bench)
    for number in range(1000):
        bench.engine.feed(a, rtp(number, number), ALICE)
    assert len(bench.sent()) == 800 and bench.drops(a) == {"flood": 200}
    bench.wait(0.2)
    bench.engine.hold(b)
    bench.engine.feed(a, rtp(1001, 1001), ALICE)
    assert bench.sent() == [] and bench.drops(a)["held"] == 1


def test_a_carrying_port_is_silent_by_itself_and_may_be(bench: Bench) -> None:
    a, _ = carried(bench)
    bench.engine.feed(a, rtp(1, 1), ALICE)
    bench.sent()
    bench.wait(60.0)
    assert bench.sent() == [] and bench.sent(rtcp=True) == [] and bench.engine.drain()[1:] == []


def test_what_carries_is_never_relayed_into_audio(bench: Bench) -> None:
    a, b = bench.open(ALICE, ssrc=1), bench.open(BOB, ssrc=2)
    bench.engine.carry(a, rtp=True)
    bench.engine.connect(a, b, a_to_b={0: 0}, b_to_a={0: 0})
    bench.engine.feed(a, rtp(1, 1), ALICE)
    assert bench.sent() == [] and bench.drops(a) == {"no_route": 1}


def test_each_leg_has_its_own_keys_for_any_number_of_streams(bench: Bench) -> None:
    a, b = carried(bench)
    keys = [SrtpKeys(AES_CM_80, bytes([seed]) * 30, bytes([seed + 1]) * 30) for seed in (1, 5)]
    for port, each in zip((a, b), keys, strict=True):
        bench.engine.secure(port, each)
    profile = AES_CM_80.profile
    alice = Session(Policy(keys[0].receive, Policy.SSRC_ANY_OUTBOUND, 0, profile))
    bob = Session(Policy(keys[1].send, Policy.SSRC_ANY_INBOUND, 0, profile))
    packets = [rtp(5, 90000, ssrc=7), rtp(900, 17, ssrc=8), rtp(6, 90000, ssrc=7)]
    for packet in packets:
        bench.engine.feed(a, alice.protect(packet), ALICE)
    assert [bob.unprotect(one.packet) for one in bench.sent()] == packets
    bench.engine.feed(a, alice.protect_rtcp(PLI), (ALICE[0], ALICE[1] + 1), rtcp=True)
    assert [bob.unprotect_rtcp(one.packet) for one in bench.sent(rtcp=True)] == [PLI]
    bench.engine.feed(a, rtp(50, 50, ssrc=7), ALICE)
    assert bench.sent() == [] and bench.drops(a) == {"srtp_auth": 1}
