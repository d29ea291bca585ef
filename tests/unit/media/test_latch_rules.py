"""Whose RTP a port takes, and against whom it keeps it."""

from __future__ import annotations

import pytest
from media_bench import Bench, rtp

from media import Port, SourceLatched

SDP, NAT = ("192.0.2.1", 4000), ("203.0.113.5", 61000)
SPRAYER = ("198.51.100.66", 1234)


def echoing(bench: Bench, **options: object) -> Port:
    port = bench.open()
    bench.engine.set_remote(port, SDP, payload_types={0, 101}, **options)  # type: ignore[arg-type]  # test options
    bench.engine.echo(port)
    return port


def destinations(bench: Bench) -> list[tuple[str, int]]:
    return [one.to for one in bench.sent()]


def test_the_signalled_address_is_heard_from_its_first_packet(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, SDP)
    assert destinations(bench) == [SDP]
    assert bench.engine.drain() == [SourceLatched(port, SDP)]
    assert bench.engine.stats(port).source == SDP


def test_a_phone_behind_nat_is_heard_within_100_ms_of_its_first_packet(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, NAT, 6)
    assert destinations(bench) == [NAT, NAT]  # the fifth packet comes 80 ms after the first
    assert bench.drops(port) == {"learning": 4}


def test_a_phone_behind_the_nat_that_its_sip_came_from_needs_three_packets(bench: Bench) -> None:
    port = echoing(bench, signalling=(NAT[0], 5060))
    bench.talk(port, NAT, 3)
    assert destinations(bench) == [NAT]


def test_after_the_window_only_the_signalled_address_can_latch(bench: Bench) -> None:
    port = echoing(bench)
    bench.wait(3.0)
    bench.talk(port, NAT, 20)
    assert destinations(bench) == []
    bench.talk(port, SDP)
    assert destinations(bench) == [SDP]
    assert bench.drops(port) == {"foreign": 20}


def test_a_port_that_must_not_learn_takes_the_signalled_address_alone(bench: Bench) -> None:
    port = echoing(bench, latch_window=0.0)
    bench.talk(port, NAT, 20)
    assert destinations(bench) == []


def test_a_latched_source_keeps_the_port_against_a_sprayer(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, SDP, 2)
    for number in range(100):
        bench.engine.feed(port, rtp(number, number * 160, ssrc=0xBAD), SPRAYER)
    bench.talk(port, SDP, 2)
    assert destinations(bench) == [SDP] * 4
    assert bench.drops(port) == {"foreign": 100}


def test_a_sprayer_that_started_first_loses_the_port_to_the_signalled_address(bench: Bench) -> None:
    port = echoing(bench)
    for number in range(10):
        bench.engine.feed(port, rtp(number, number * 160, ssrc=0xBAD), SPRAYER)
    bench.sent()
    bench.talk(port, SDP, 3)
    bench.engine.feed(port, rtp(11, 11 * 160, ssrc=0xBAD), SPRAYER)
    assert destinations(bench) == [SDP] * 3
    assert bench.engine.stats(port).source == SDP


def test_a_stranger_waits_a_second_when_the_host_of_the_signalling_is_known(bench: Bench) -> None:
    port = echoing(bench, signalling=(NAT[0], 5060))
    bench.talk(port, SPRAYER, 49)
    assert destinations(bench) == []
    bench.number = 0
    bench.talk(port, NAT, 4)
    assert set(destinations(bench)) == {NAT}


@pytest.mark.parametrize(
    "packets",
    [
        [rtp(number, number * 160, ssrc=number) for number in range(40)],
        [rtp(number * 977, number * 160) for number in range(40)],
        [rtp(5, 800)] * 40,
        [rtp(number, number * 160, payload_type=9) for number in range(40)],
        [b"\x80" + bytes(range(40))] * 40,
    ],
    ids=["another ssrc each", "no run of sequence", "one packet again and again", "not negotiated", "junk"],
)
def test_an_inconsistent_source_never_latches(bench: Bench, packets: list[bytes]) -> None:
    port = echoing(bench)
    for packet in packets:
        bench.engine.feed(port, packet, SPRAYER)
    assert destinations(bench) == []
    assert bench.engine.stats(port).source is None


def test_a_sprayer_beside_the_phone_does_not_stop_the_phone_from_latching(bench: Bench) -> None:
    port = echoing(bench, signalling=(NAT[0], 5060))
    for number in range(5):
        for burst in range(20):
            bench.engine.feed(port, rtp(20 * number + burst, 0, ssrc=0xBAD), SPRAYER)
            bench.engine.feed(port, rtp(burst, 0, ssrc=burst), (SPRAYER[0], 2000 + 20 * number + burst))
        bench.talk(port, NAT)
    assert set(destinations(bench)) == {NAT}


def test_a_new_offer_lets_a_rebound_nat_phone_in_when_the_old_source_is_silent(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, NAT, 5)
    bench.wait(4.0)
    bench.engine.set_remote(port, SDP, payload_types={0})
    bench.sent()
    rebound = (NAT[0], 61999)
    bench.talk(port, rebound, 6)
    assert destinations(bench) == [rebound, rebound]


def test_a_new_offer_does_not_interrupt_the_source_that_talks(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, NAT, 5)
    bench.sent()
    bench.engine.set_remote(port, SDP, payload_types={0})
    bench.talk(port, NAT, 5)
    assert destinations(bench) == [NAT] * 5


def test_a_moved_signalled_address_ends_the_old_source(bench: Bench) -> None:
    port = echoing(bench)
    bench.talk(port, NAT, 5)
    moved = ("192.0.2.77", 5000)
    bench.engine.set_remote(port, moved, payload_types={0})
    bench.sent()
    bench.talk(port, moved, 2)
    assert destinations(bench) == [moved] * 2


def test_ipv6_sources_latch_alike(bench: Bench) -> None:
    port = bench.open(("2001:db8::1", 4000))
    bench.engine.echo(port)
    bench.talk(port, ("2001:db8::1", 4000))
    assert destinations(bench) == [("2001:db8::1", 4000)]
    assert bench.engine.stats(port).source == ("2001:db8::1", 4000)
